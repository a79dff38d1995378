"""The class-conditional GAN of Song et al.: generator, discriminator, and their files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import keras
import tensorflow as tf
from keras import layers

from atk_latent.data.aliases import known
from atk_latent.errors import InputError
from atk_latent.models import initialising as init
from atk_latent.models.loading import load_network
from atk_latent.results.files import read_card

Resample = Literal["up", "down", "none"]
LATENTS = 128
EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The networks of one data set.

    Args:
        generator: output channels of the blocks, each of which doubles the size.
        stem: how the discriminator begins: "block" (residual, halves the size, no ReLU
            before its first convolution) or "conv" (one 3x3 convolution).
        stem_width: its channels.
        discriminator: output channels of the blocks after it and what they do to the size.
        pool: "mean" is ReLU and the mean over the map; "flatten" keeps the map.
        output: "sigmoid", pixels in [0, 1]; "tanh", the networks work in [-1, 1] and the
            models here convert.
        output_gain: of the generator's last convolution, 1 (Glorot) or 2 (He).
        side: the size that is drawn; larger images are enlarged from it. None: any.
    """

    generator: tuple[int, ...]
    stem: Literal["block", "conv"]
    stem_width: int
    discriminator: tuple[tuple[int, Resample], ...]
    pool: Literal["mean", "flatten"]
    output: Literal["sigmoid", "tanh"]
    output_gain: float = 1.0
    side: int | None = None

    @property
    def scale(self) -> float:
        """How long a network's pixel range is: 1 for [0, 1], 2 for [-1, 1]."""
        return 2.0 if self.output == "tanh" else 1.0


def _even(blocks: int, width: int, output: Literal["sigmoid", "tanh"]) -> Architecture:
    """One width throughout, as for MNIST and SVHN."""
    after: tuple[tuple[int, Resample], ...] = ((width, "down"), (width, "none"), (width, "none"))
    return Architecture((width,) * blocks, "block", width, after, "mean", output)


ARCHITECTURES: dict[str, Architecture] = {
    "mnist": _even(2, 32, "sigmoid"),
    "svhn": _even(3, 128, "tanh"),
    "celeba": Architecture(
        generator=(512, 256, 128, 64),
        stem="conv",
        stem_width=64,
        discriminator=((128, "down"), (256, "down"), (512, "down"), (512, "down")),
        pool="flatten",
        output="tanh",
        output_gain=2.0,
        side=64,
    ),
    # Ours. Song et al. have no CIFAR-10 network; theirs for SVHN is the one that Gulrajani
    # et al. (2017) use for CIFAR-10.
    "cifar10": _even(3, 128, "tanh"),
    "digits": _even(2, 16, "sigmoid"),  # ours: MNIST's, half as wide, for 1,437 images
}


def architecture_for(data: str, image_shape: Sequence[int]) -> str:
    """The name in `ARCHITECTURES` that suits a data set, by its name or else its image size."""
    for name in (data, known(data).like):
        if name in ARCHITECTURES:
            return name
    height, _, channels = image_shape
    if height >= 64:
        return "celeba"
    return "mnist" if channels == 1 and height % 8 else "cifar10"


@keras.saving.register_keras_serializable(package="atk_latent")
class BatchStatisticsNorm(layers.Layer):
    """Batch normalisation by the batch at hand, in training and ever after.

    There are no running statistics, so an image depends on the others of its batch.

    Args:
        num_classes: classes with a scale and shift of their own; 0 for one of each.

    Input: float (B, H, W, C), or with classes a list of it and one-hot labels (B, K).

    Reference: de Vries et al. 2017 (class-conditional); as the code of Song et al. runs it.
    """

    def __init__(self, num_classes: int = 0, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def build(self, input_shape: Any) -> None:
        """Adds `gain` (ones) and `shift` (zeros), a row for each class."""
        shape = input_shape[0] if self.num_classes else input_shape
        table = (max(self.num_classes, 1), shape[-1])
        self.gain = self.add_weight(shape=table, initializer="ones", name="gain")
        self.shift = self.add_weight(shape=table, initializer="zeros", name="shift")
        self.built = True

    def call(self, inputs: tf.Tensor | Sequence[tf.Tensor]) -> tf.Tensor:
        """Normalises over batch and map, then scales and shifts by class."""
        x, gain, shift = inputs, tf.convert_to_tensor(self.gain), tf.convert_to_tensor(self.shift)
        if self.num_classes:
            x, y = inputs
            y = tf.cast(y, gain.dtype)
            gain, shift = (tf.matmul(y, table) for table in (gain, shift))
        mean, variance = tf.nn.moments(x, (0, 1, 2), keepdims=True)
        gain, shift = gain[:, None, None], shift[:, None, None]
        return tf.nn.batch_normalization(x, mean, variance, shift, gain, EPSILON)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the images that came in."""
        return input_shape[0] if self.num_classes else input_shape

    def get_config(self) -> dict[str, object]:
        """The arguments, to save the layer with a model."""
        return {**super().get_config(), "num_classes": self.num_classes}


@keras.saving.register_keras_serializable(package="atk_latent")
class ResampledConv(layers.Layer):
    """A 3x3 "same" convolution after nearest doubling, or before 2x2 mean pooling, in one.

    Both pairs are a 4x4 kernel of stride 2 derived from the 3x3 one: the same function, weights
    and gradients. A step of the MNIST layers takes about half the time on a CPU.

    Args:
        filters: int >= 1. resample: "up" or "down". seed: int >= 0 that fixes the kernel.

    Input: float (B, H, W, C); for "down" H and W even. Output: (B, 2H, 2W, filters) or
    (B, H/2, W/2, filters).
    """

    def __init__(self, filters: int, resample: str, *, seed: int = 0, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.filters, self.resample, self.seed = filters, resample, seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Adds `kernel` (3, 3, C, filters) and `bias`.

        Raises:
            InputError: for an odd size where it is to be halved.
        """
        if self.resample == "down" and any(side % 2 for side in input_shape[1:3] if side):
            raise InputError(f"a map must have even sides to be halved. Received: {input_shape}")
        self.kernel = self.add_weight(
            shape=(3, 3, input_shape[-1], self.filters),
            initializer=_uniform(2.0, self.seed),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Applies the 4x4 kernel: each tap is the sum of the 2x2 taps that meet there."""
        kernel = tf.pad(tf.convert_to_tensor(self.kernel), [[0, 1], [0, 1], [0, 0], [0, 0]])
        kernel = kernel + tf.roll(kernel, 1, 0)
        kernel = kernel + tf.roll(kernel, 1, 1)
        run = _enlarged if self.resample == "up" else _halved
        return run(x, kernel) + tf.convert_to_tensor(self.bias)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the output for `input_shape`, None where it is not known."""
        factor = 2.0 if self.resample == "up" else 0.5
        sides = [None if side is None else int(side * factor) for side in input_shape[1:3]]
        return (input_shape[0], *sides, self.filters)

    def get_config(self) -> dict[str, object]:
        """The arguments, to save the layer with a model."""
        own = {"filters": self.filters, "resample": self.resample, "seed": self.seed}
        return {**super().get_config(), **own}


def _enlarged(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Doubles the size: a transposed convolution, which reads its kernel backwards."""
    kernel = tf.reverse(tf.transpose(kernel, (0, 1, 3, 2)), [0, 1])
    count, height, width = (tf.shape(x)[axis] for axis in range(3))
    shape = (count, 2 * height, 2 * width, kernel.shape[2])
    return tf.nn.conv2d_transpose(x, kernel, shape, 2, "SAME")


def _halved(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Halves the size: stride 2 as 2x2 blocks of pixels, whose second gradient is fast too."""
    channels, filters = kernel.shape[2:]
    blocks = tf.nn.space_to_depth(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 2)
    kernel = tf.reshape(kernel / 4.0, (2, 2, 2, 2, channels, filters))
    kernel = tf.reshape(tf.transpose(kernel, (0, 2, 1, 3, 4, 5)), (2, 2, 4 * channels, filters))
    return tf.nn.conv2d(blocks, kernel, 1, "VALID")


def _uniform(gain: float, seed: int) -> keras.initializers.Initializer:
    """Uniform of deviation sqrt(2 * gain / (fan_in + fan_out)): He at gain 2, Glorot at 1."""
    return keras.initializers.VarianceScaling(gain, "fan_avg", "uniform", seed=seed)


def _conv(
    filters: int, size: int, seeds: init.Seeds, gain: float = 2.0, name: str | None = None
) -> layers.Layer:
    return layers.Conv2D(
        filters, size, padding="same", kernel_initializer=_uniform(gain, seeds.next()), name=name
    )


def _dense(units: int, fan_in: int, seeds: init.Seeds, name: str) -> layers.Layer:
    weights = keras.initializers.TruncatedNormal(0.0, fan_in**-0.5, seed=seeds.next())
    return layers.Dense(units, kernel_initializer=weights, dtype="float32", name=name)


def _norm(x: keras.KerasTensor, labels: keras.KerasTensor | None, name: str) -> keras.KerasTensor:
    if labels is None:
        return x
    return BatchStatisticsNorm(labels.shape[-1], name=name)([x, labels])


def _block(
    x: keras.KerasTensor,
    labels: keras.KerasTensor | None,
    filters: int,
    resample: Resample,
    seeds: init.Seeds,
    name: str,
    *,
    first: bool = False,
) -> keras.KerasTensor:
    """[norm] ReLU conv [norm] ReLU conv, plus a 1x1 shortcut where the shape may change.

    Args:
        labels: one-hot, for the norms; None leaves them out.
        first: no ReLU before the first convolution, which has `filters` channels already.
    """
    before = x.shape[-1]
    y = x if first else layers.ReLU(name=f"{name}_relu1")(_norm(x, labels, f"{name}_norm1"))
    if resample == "up":
        y = ResampledConv(filters, "up", seed=seeds.next(), name=f"{name}_conv1")(y)
    else:
        width = before if resample == "down" and not first else filters
        y = _conv(width, 3, seeds, name=f"{name}_conv1")(y)
    y = layers.ReLU(name=f"{name}_relu2")(_norm(y, labels, f"{name}_norm2"))
    if resample == "down":
        y = ResampledConv(filters, "down", seed=seeds.next(), name=f"{name}_conv2")(y)
        x = layers.AveragePooling2D(2, name=f"{name}_pool")(x)
    else:
        y = _conv(filters, 3, seeds, name=f"{name}_conv2")(y)
    if resample != "none" or before != filters:
        x = _conv(filters, 1, seeds, 1.0, name=f"{name}_shortcut")(x)  # 1x1: before or after
    if resample == "up":
        x = layers.UpSampling2D(2, name=f"{name}_up")(x)
    return layers.Add(name=f"{name}_add")([x, y])


def _sizes(kind: Architecture, image_shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Rows and columns of the generator's first map, channels, and the enlargement."""
    height, width, channels = init.checked_shape("a GAN", image_shape)
    enlarged = 1 if kind.side is None else max(1, height // kind.side)
    factor = enlarged * 2 ** len(kind.generator)
    if height % factor or width % factor:
        raise InputError(
            f"this GAN draws images whose sides are multiples of {factor}. "
            f"Received: {height}x{width}. Resize them or choose another architecture"
        )
    return height // factor, width // factor, channels, enlarged


def song_generator(
    kind: Architecture,
    image_shape: Sequence[int],
    num_classes: int,
    *,
    latents: int = LATENTS,
    seed: int = 0,
) -> keras.Model:
    """Builds the generator G(z, y): 259,969 weights for MNIST.

    z and the one-hot class, side by side, through a Dense layer to a small map; residual
    blocks that double its size, with class-conditional batch statistics; norm, ReLU, a 3x3
    convolution.

    Args:
        kind: see `Architecture`. image_shape: (height, width, channels).
        num_classes: int >= 2. latents: int >= 1, numbers in z.
        seed: int >= 0 that fixes every weight.

    Returns:
        An uncompiled model: a list of z, float (B, latents), and one-hot y, float (B, K), to
        float32 images (B, H, W, C) in [0, 1].

    Raises:
        InputError: on a shape or number that cannot be built.

    Reference: Song et al., NeurIPS 2018, and its published code.
    Differs: pixels are in [0, 1] for every data set; larger images than `kind.side` (LADDER's
        128x128 CelebA, drawn at the published 64x64) are enlarged bilinearly.
    """
    rows, columns, channels, enlarged = _sizes(kind, image_shape)
    classes = init.checked_count("num_classes", num_classes, 2)
    seeds, width = init.Seeds(seed), kind.generator[0]
    z = keras.Input((init.checked_count("latents", latents, 1),), name="latent")
    y = keras.Input((classes,), name="label")
    x = layers.Concatenate(name="input")([z, y])
    x = _dense(rows * columns * width, latents + classes, seeds, "expand")(x)
    x = layers.Reshape((rows, columns, width), name="map")(x)
    for number, filters in enumerate(kind.generator, start=1):
        x = _block(x, y, filters, "up", seeds, f"block{number}")
    x = layers.ReLU(name="relu")(BatchStatisticsNorm(name="norm")(x))
    x = _conv(channels, 3, seeds, kind.output_gain, name="colours")(x)
    x = layers.Activation(kind.output, dtype="float32", name=kind.output)(x)
    if kind.output == "tanh":
        x = layers.Rescaling(0.5, 0.5, dtype="float32", name="unit")(x)
    if enlarged > 1:
        x = layers.UpSampling2D(enlarged, interpolation="bilinear", name="enlarge")(x)
    return keras.Model([z, y], x, name="song_generator")


def song_discriminator(
    kind: Architecture, image_shape: Sequence[int], num_classes: int, *, seed: int = 0
) -> keras.Model:
    """Builds the discriminator with its auxiliary classifier: 66,539 weights for MNIST.

    Residual blocks without normalisation, then two Dense heads.

    Args:
        kind, image_shape, num_classes, seed: as for `song_generator`.

    Returns:
        An uncompiled model: float32 images in [0, 1] to a list of the score (B, 1), high for
        real images, and the class logits (B, K).

    Raises:
        InputError: on a shape or number that cannot be built.

    Reference: Song et al., NeurIPS 2018, and its published code.
    """
    *_, enlarged = _sizes(kind, image_shape)
    classes = init.checked_count("num_classes", num_classes, 2)
    seeds = init.Seeds(seed)
    image = keras.Input(tuple(image_shape), name="image")
    x = image
    if enlarged > 1:
        x = layers.AveragePooling2D(enlarged, name="reduce")(x)
    if kind.output == "tanh":
        x = layers.Rescaling(2.0, -1.0, name="scale")(x)
    if kind.stem == "block":
        x = _block(x, None, kind.stem_width, "down", seeds, "stem", first=True)
    else:
        x = _conv(kind.stem_width, 3, seeds, 1.0, name="stem")(x)
    for number, (filters, resample) in enumerate(kind.discriminator, start=1):
        x = _block(x, None, filters, resample, seeds, f"block{number}")
    if kind.pool == "mean":
        x = layers.GlobalAveragePooling2D(name="pool")(layers.ReLU(name="relu")(x))
    else:
        x = layers.Flatten(name="flat")(x)
    score = _dense(1, x.shape[-1], seeds, "score")(x)
    logits = _dense(classes, x.shape[-1], seeds, "logits")(x)
    return keras.Model(image, [score, logits], name="song_discriminator")


class GAN(NamedTuple):
    """A trained pair.

    Args:
        generator: [z, one-hot y] to images in [0, 1]. discriminator: images to score, logits.
    """

    generator: keras.Model
    discriminator: keras.Model

    @property
    def latents(self) -> int:
        """Numbers in z."""
        return int(self.generator.input_shape[0][-1])

    @property
    def num_classes(self) -> int:
        """Classes K."""
        return int(self.generator.input_shape[1][-1])

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return tuple(self.generator.output_shape[1:])

    def images(self, z: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """G(z, y), float32 (B, H, W, C) in [0, 1], of classes `y`, integer (B,)."""
        return self.generator([z, tf.one_hot(y, self.num_classes)])

    def auxiliary(self, x: tf.Tensor) -> tf.Tensor:
        """Class logits of images, float32 (B, K)."""
        return self.discriminator(x)[1]


def load_gan(folder: str | Path) -> GAN:
    """The GAN that `atkl train-gan` left in a run folder.

    Raises:
        InputError: if there is none there, or it is not finished.
    """
    place = Path(folder).expanduser()
    files = [place / "helpers" / f"{name}.keras" for name in GAN._fields]
    if not (place / "card.json").is_file() or not all(file.is_file() for file in files):
        raise InputError(
            f"there is no trained GAN at '{folder}'. Make one: atkl train-gan --data DATA "
            f"--out {folder}"
        )
    if read_card(place).method != "song-gan":
        raise InputError(f"'{folder}' is a run of something else than `atkl train-gan`")
    return GAN(*(load_network(file) for file in files))
