"""The attention SVM of LADDER: one linear boundary with attention per pair of classes."""

from __future__ import annotations

import itertools
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from atk_latent.arrays import ArraySpec, read_arrays
from atk_latent.errors import InputError
from atk_latent.files import GIB, FileKind
from atk_latent.models.latent import latent_width

ATTENTIONS, NORMALS = ("softmax", "exp-softmax"), ("unit", "raw")
ARRAYS = ("kernel", "bias", "weight", "intercept", "accuracy")
BOUNDARIES = FileKind(
    "file of LADDER's boundaries", 64 * GIB, "Run `atkl harden --method ladder` to make it again"
)


def class_pairs(num_classes: int) -> np.ndarray:
    """All unordered pairs (low, high) of classes, int64 of shape (K(K-1)/2, 2)."""
    return np.array(list(itertools.combinations(range(num_classes), 2)), dtype=np.int64)


def attend(
    z: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, attention: str, gain: float
) -> tf.Tensor:
    """Attention weights of latents, for all pairs at once.

    Args:
        z: (pairs, n, N) latents.
        kernel: (pairs, N, N); bias: (pairs, N). A 1x1 convolution on a 1x1 map is this
            dense layer.
        attention: "softmax" is Eq 2; "exp-softmax" exponentiates once more, as the
            published code does, and is nearly flat (1.002 for N = 500).
        gain: factor on the weights. See `AttentionSVM`.

    Returns:
        (pairs, n, N) weights, dtype of `z`.

    Reference: Zhou et al., LADDER, Eq 2.
    """
    alpha = tf.tanh(tf.matmul(z, kernel) + bias[:, None, :])
    beta = tf.nn.softmax(alpha, axis=-1)
    return (tf.exp(beta) if attention == "exp-softmax" else beta) * gain


class AttentionSVM:
    """Boundaries between every pair of classes in latent space, with attention.

    Args:
        kernel: float32 (P, N, N), attention kernels; bias: float32 (P, N).
        weight: float32 (P, N), SVM weights (any length); intercept: float32 (P,).
        num_classes: K with P = K(K-1)/2 pairs, in the order of `class_pairs`. A positive
            score speaks for the higher class of the pair.
        attention: "softmax" (Eq 2) or "exp-softmax" (published code).
        gain: factor on the attention weights. With Eq 2 they sum to 1, so in N dimensions
            a step of eps along a unit normal moves by about eps / N; with gain = N the
            mean weight is 1 and eps is the length of the step in latent units.
        normal: "unit" scales each normal to length 1, "raw" leaves it as trained.
        accuracies: float32 (P,), held-out accuracy of each boundary, in [0, 1].

    Raises:
        InputError: if the shapes do not belong together.

    Differs: the gain (see above); the published code stores one SVM per ordered pair and
        lets the later attention of a pair overwrite the earlier one.
    """

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        *,
        num_classes: int,
        attention: str,
        gain: float,
        normal: str,
    ) -> None:
        if arrays["weight"].ndim != 2 or attention not in ATTENTIONS or normal not in NORMALS:
            raise InputError(
                f"attention SVM: 'weight' must have shape (pairs, width), attention be one of "
                f"{', '.join(ATTENTIONS)}, normal one of {', '.join(NORMALS)}. Received: "
                f"{arrays['weight'].shape}, {attention!r}, {normal!r}"
            )
        pairs, width = arrays["weight"].shape
        expected = {
            "kernel": (pairs, width, width),
            "bias": (pairs, width),
            "weight": (num_classes * (num_classes - 1) // 2, width),
            "intercept": (pairs,),
            "accuracy": (pairs,),
        }
        for name, shape in expected.items():
            if arrays[name].shape != shape:
                raise InputError(
                    f"attention SVM: '{name}' must have shape {shape}. "
                    f"Received: {arrays[name].shape}"
                )
        self.arrays = arrays
        self.num_classes, self.attention, self.normal = num_classes, attention, normal
        self.gain, self.width = float(gain), width
        weight = arrays["weight"]
        if normal == "unit":
            weight = weight / np.maximum(np.linalg.norm(weight, axis=1, keepdims=True), 1e-12)
        lookup = np.zeros((num_classes, num_classes), np.int32)
        for index, (low, high) in enumerate(class_pairs(num_classes)):
            lookup[low, high] = lookup[high, low] = index
        self._lookup = tf.constant(lookup)
        self._normals = tf.constant(weight, tf.float32)
        self._kernel = tf.constant(arrays["kernel"], tf.float32)
        self._bias = tf.constant(arrays["bias"], tf.float32)

    @property
    def accuracies(self) -> np.ndarray:
        """Held-out accuracy of each pair, float32 (P,)."""
        return self.arrays["accuracy"]

    def pair_index(self, source: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Row of the pair {source, target}, int32 of the inputs' shape (B,)."""
        return tf.gather_nd(self._lookup, tf.stack([source, target], axis=-1))

    def direction(self, source: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Normals that point from `source` to `target`, float32 (B, N)."""
        normal = tf.gather(self._normals, self.pair_index(source, target))
        sign = tf.where(target > source, 1.0, -1.0)
        return normal * tf.cast(sign, normal.dtype)[:, None]

    def attention_weights(self, z: tf.Tensor, pair: tf.Tensor) -> tf.Tensor:
        """Attention of latents (B, N), each under its own pair (B,), float32 (B, N).

        The kernel of one pair has N x N entries: the batch is walked row by row, so memory
        does not grow with it and the graph keeps static shapes (XLA can compile it).
        """

        def row(inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            latent, index = inputs
            one = tf.expand_dims
            weights = attend(
                latent[None, None],
                one(self._kernel[index], 0),
                one(self._bias[index], 0),
                self.attention,
                self.gain,
            )
            return weights[0, 0]

        return tf.map_fn(row, (z, pair), fn_output_signature=tf.float32)

    def save(self, path: Path) -> None:
        """Writes everything to one `.npz` without pickles."""
        settings = ("num_classes", "gain", "attention", "normal")
        content = {name: getattr(self, name) for name in settings}
        content.update(self.arrays)
        np.savez(path, **content)

    @classmethod
    def load(cls, path: Path) -> AttentionSVM:
        """Reads what `save` wrote.

        Raises:
            InputError: if the file is missing or not one of ours.
        """
        scalar = {name: ArraySpec("iuf", ()) for name in ("num_classes", "gain")}
        words = {name: ArraySpec("U", ()) for name in ("attention", "normal")}
        floats = {name: ArraySpec("f") for name in ARRAYS}
        content = read_arrays(path, BOUNDARIES, {**scalar, **words, **floats})
        try:
            return cls(
                {name: content[name] for name in ARRAYS},
                num_classes=int(content["num_classes"]),
                attention=str(content["attention"]),
                gain=float(content["gain"]),
                normal=str(content["normal"]),
            )
        except ValueError as problem:
            raise BOUNDARIES.wrong(path, f"will not do: {problem}") from None


def initial_arrays(pairs: int, width: int, seed: int) -> dict[str, np.ndarray]:
    """Fresh weights of `pairs` attention SVMs, uniform in +-1/sqrt(width)."""
    bound = width**-0.5
    rng = np.random.default_rng(seed)
    shapes = {
        "kernel": (pairs, width, width),
        "bias": (pairs, width),
        "weight": (pairs, width),
        "intercept": (pairs,),
    }
    return {
        name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()
    }


def flat_latent_width(features: keras.Model) -> int:
    """Number of entries of a flat latent.

    Raises:
        InputError: if the latent is a map rather than a vector.
    """
    shape = features.output_shape
    if len(shape) != 2:
        raise InputError(
            f"LADDER needs a flat latent (batch, N). Received a latent of shape {shape}: "
            "name a later layer with --latent-layer, after Flatten or pooling"
        )
    return latent_width(features)
