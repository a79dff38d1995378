"""SVHN, cropped: 73,257 + 26,032 street-view house numbers of 32x32, 10 classes."""

from __future__ import annotations

from atk_latent.data.source import DIGITS
from atk_latent.data.tfds_source import TfdsSource

load = TfdsSource(name="svhn", class_names=DIGITS, builder="svhn_cropped", label=("label",))
"""SVHN without its `extra` split. Label 0 is the digit 0 (10 in the original files)."""
