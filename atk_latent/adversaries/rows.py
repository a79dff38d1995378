"""Choosing between two states row by row."""

from __future__ import annotations

import tensorflow as tf

from atk_latent.adversaries.minimal import Nest, where_rows


def choose(rows: tf.Tensor, new: Nest, old: Nest) -> Nest:
    """A nest of tensors (B, ...): `new` in the rows where `rows` (B,) holds, else `old`."""

    def chosen(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(where_rows(rows, one, other), other.shape)

    mixed: Nest = tf.nest.map_structure(chosen, new, old)
    return mixed
