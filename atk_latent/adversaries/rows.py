"""Choosing between two states row by row."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from atk_latent.adversaries.minimal import where_rows


def choose(rows: tf.Tensor, new: Any, old: Any) -> Any:
    """A nest of tensors (B, ...): `new` in the rows where `rows` (B,) holds, else `old`."""

    def chosen(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(where_rows(rows, one, other), other.shape)

    return tf.nest.map_structure(chosen, new, old)
