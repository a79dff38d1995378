"""A transposed convolution and the convolutions after it, run as one."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from atk_latent.errors import InputError
from atk_latent.models import initialising as init


@keras.saving.register_keras_serializable(package="atk_latent")
class CollapsedUpsampling(keras.layers.Layer):
    """Enlarges a map exactly as Conv2DTranspose, then valid Conv2D layers, would.

    With no activation between them those layers are one linear map, so their kernels are
    composed at every call and applied as a single convolution at the small size. The weights,
    the function and the gradients are those of the separate layers; an epoch of the MNIST
    generator takes about a quarter of the time on a CPU.

    Args:
        filters: int >= 1. Output channels of the transposed convolution.
        kernel_size: int >= 1. Its kernel height and width, k.
        strides: int >= 1. Its stride s, which may exceed k.
        convolutions: (filters, kernel size) of each convolution that follows; may be empty.
        seed: int >= 0 that fixes every weight. Kernels and biases start uniform in
            +-1/sqrt(fan_in), PyTorch's default.

    Input: (batch, n, m, channels), float. Output: (batch, (n - 1) * s + k - p,
    (m - 1) * s + k - p, channels of the last layer) with p the sum of (size - 1) over
    `convolutions`: PyTorch's size, which has no s - k rows of padding at the end when s > k
    as Keras' Conv2DTranspose does.

    Raises:
        InputError: on a setting that is not a whole number >= 1.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int,
        convolutions: Sequence[tuple[int, int]] = (),
        *,
        seed: int = 0,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = init.checked_count("filters", filters, 1)
        self.kernel_size = init.checked_count("kernel_size", kernel_size, 1)
        self.strides = init.checked_count("strides", strides, 1)
        self.convolutions = [
            (init.checked_count("filters", f, 1), init.checked_count("kernel size", size, 1))
            for f, size in convolutions
        ]
        self.seed = seed
        init.Seeds(seed)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Adds `kernel`, `bias`, then `kernel_1`, `bias_1`... of the convolutions.

        Kernels have the shapes Keras gives them: (k, k, filters, channels) for the transposed
        convolution, (size, size, channels, filters) for the others.
        """
        if len(input_shape) != 4 or input_shape[-1] is None:
            raise InputError(
                "CollapsedUpsampling needs maps (batch, height, width, channels) with known "
                f"channels. Received: {tuple(input_shape)}"
            )
        seeds = init.Seeds(self.seed)
        size, channels = self.kernel_size, self.filters
        shapes = [(size, size, channels, int(input_shape[-1]))]
        for filters, size in self.convolutions:
            shapes.append((size, size, channels, filters))
            channels = filters
        self._parts = []
        for index, shape in enumerate(shapes):
            end = f"_{index}" if index else ""
            units = shape[-1] if index else shape[-2]
            fan_in = shape[0] * shape[1] * shape[2]  # as PyTorch and Keras count it in both cases
            kernel = self.add_weight(
                shape=shape,
                initializer=init.torch_kernel(seeds),
                name=f"kernel{end}",
                autocast=False,
            )
            bias = self.add_weight(
                shape=(units,),
                initializer=init.torch_bias(seeds, fan_in),
                name=f"bias{end}",
                autocast=False,
            )
            self._parts.append((kernel, bias))
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Applies the composed convolution to `inputs`."""
        response, bias = self._composed()
        stride = self.strides
        margin = self._margin()
        size = self.kernel_size + margin
        taps = -(-size // stride)
        low, high = response.shape[0], response.shape[-1]
        extra = taps * stride - size
        response = tf.pad(response, [[0, 0], [0, extra], [0, extra], [0, 0]])
        response = tf.reshape(response, (low, taps, stride, taps, stride, high))
        response = tf.transpose(tf.reverse(response, [1, 3]), (1, 3, 0, 2, 4, 5))
        kernel = tf.reshape(response, (taps, taps, low, stride * stride * high))
        around = [taps - 1, taps - 1]
        x = tf.pad(inputs, [[0, 0], around, around, [0, 0]])
        y = tf.nn.conv2d(x, tf.cast(kernel, x.dtype), 1, "VALID")
        if stride > 1:
            y = tf.nn.depth_to_space(y, stride)
        end = -(extra + margin) or None
        return y[:, margin:end, margin:end] + tf.cast(bias, y.dtype)

    def _composed(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The answer to one input pixel (channels, size, size, filters), and the bias."""
        kernel, bias = (tf.convert_to_tensor(part) for part in self._parts[0])
        response = tf.transpose(kernel, (3, 0, 1, 2))
        for kernel, more in self._parts[1:]:
            weights = tf.convert_to_tensor(kernel)
            around = [weights.shape[0] - 1] * 2
            padded = tf.pad(response, [[0, 0], around, around, [0, 0]])
            response = tf.nn.conv2d(padded, weights, 1, "VALID")
            bias = tf.linalg.matvec(tf.reduce_sum(weights, (0, 1)), bias, transpose_a=True)
            bias = bias + tf.convert_to_tensor(more)
        return response, bias

    def _margin(self) -> int:
        return sum(size - 1 for _, size in self.convolutions)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the output for `input_shape`, None where it is not known."""
        shrink = self.kernel_size - self._margin()
        sides = [None if n is None else (n - 1) * self.strides + shrink for n in input_shape[1:3]]
        channels = self.convolutions[-1][0] if self.convolutions else self.filters
        return (input_shape[0], *sides, channels)

    def get_config(self) -> dict[str, object]:
        """The arguments, to save the layer with a model."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "convolutions": self.convolutions,
            "seed": self.seed,
        }
