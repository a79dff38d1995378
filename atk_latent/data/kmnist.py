"""KMNIST: 60,000 + 10,000 cursive Japanese characters of 28x28, 10 classes.

Reference: Clanuwat et al. 2018, "Deep learning for classical Japanese literature".
"""

from __future__ import annotations

from atk_latent.data.tfds_source import TfdsSource

load = TfdsSource(
    name="kmnist",
    class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    builder="kmnist",
    label=("label",),
)
