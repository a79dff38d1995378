"""CelebA: 162,770 + 19,962 aligned faces of 178x218, smiling or not, as 128x128."""

from __future__ import annotations

from atk_latent.data.tfds_source import TfdsSource

load = TfdsSource(
    name="celeba",
    class_names=("no smile", "smile"),
    builder="celeb_a",
    label=("attributes", "Smiling"),
    crop=148,
    size=128,
)
"""CelebA with the attribute `Smiling` as label; the `validation` split is left out.

All of it as float32 takes 36 GB (32 GB of them for training), so it wants limits.

Differs: the paper crops faces with DLIB; we centre-crop the aligned images, 148 pixels
square (columns 15..162, rows 35..182), and resize them to 128x128.
"""
