"""LeNet, the MNIST classifier of LADDER."""

from __future__ import annotations

import functools

import keras
from keras import layers

from atk_latent.models import initialising as init

MNIST_MEAN, MNIST_STD = 0.1307, 0.3081  # of the training images, in [0, 1] pixels
COLOUR_MEAN, COLOUR_STD = 0.47, 0.25  # of CIFAR-10's, over all channels


def lenet(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    seed: int = 0,
    *,
    activation: str = "relu",
    batch_norm: bool = False,
) -> keras.Model:
    """Builds LeNet: 431,080 weights at 28x28x1 with 10 classes.

    Two valid 5x5 convolutions (20 and 50 filters), each with a 2x2 max-pool and a ReLU, a
    Dense layer of 500 named `fc1`, its ReLU named `latent`, and a Dense layer `logits`. The
    model scales its own input to (x - 0.1307) / 0.3081, images of several channels to
    (x - 0.47) / 0.25, and uses only layers of Keras.

    Args:
        input_shape: (height, width, channels), at least 16x16.
        num_classes: int >= 2.
        seed: int >= 0 that fixes every weight.
        activation: "relu", or "silu" in the place of every ReLU.
        batch_norm: whether both convolutions and `fc1` are followed by a batch normalisation.

    Returns:
        An uncompiled functional model: float32 (batch, height, width, channels) in [0, 1] to
        float32 logits (batch, num_classes). Weights start as PyTorch's default.

    Raises:
        InputError: on arguments that cannot be built.

    Reference: LADDER, MNIST classifier of the published code.
    Differs: the pool comes before the ReLU, the same function with a quarter of the work; the
        published latent is the output of `fc1`, ours the ReLU after it, which is what the
        last layer takes. Name `fc1` to get the published one. Flattening is height, width,
        channel, not channel first.
    """
    height, width, channels = init.checked_shape("lenet", input_shape, low=16)
    classes = init.checked_count("num_classes", num_classes, 2)
    seeds = init.Seeds(seed)
    rows, columns = (((side - 4) // 2 - 4) // 2 for side in (height, width))
    flat = 50 * rows * columns
    inputs = keras.Input((height, width, channels), name="image")
    # Colour images are far from MNIST's mean; not centred, training swings between classes.
    mean, std = (MNIST_MEAN, MNIST_STD) if channels == 1 else (COLOUR_MEAN, COLOUR_STD)
    x = layers.Rescaling(1 / std, -mean / std, name="scale")(inputs)
    x = init.conv(20, 5, channels * 25, seeds, name="conv1")(x)
    x = init.batch_norm(name="conv1_norm")(x) if batch_norm else x
    x = layers.MaxPooling2D(name="pool1")(x)
    x = init.activation(activation, "relu1")(x)
    x = init.conv(50, 5, 20 * 25, seeds, name="conv2")(x)
    x = init.batch_norm(name="conv2_norm")(x) if batch_norm else x
    x = layers.MaxPooling2D(name="pool2")(x)
    x = init.activation(activation, "relu2")(x)
    x = layers.Flatten(name="flat")(x)
    x = init.dense(500, flat, seeds, name="fc1")(x)
    x = init.batch_norm(name="fc1_norm")(x) if batch_norm else x
    x = init.activation(activation, "latent")(x)
    name = "lenet_bn" if batch_norm else "lenet"
    return keras.Model(inputs, init.logits(classes, 500, seeds)(x), name=name)


lenet_bn = functools.partial(lenet, batch_norm=True)
