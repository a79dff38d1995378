"""Images in [0, 1] with integer labels, from every source under one contract."""

from __future__ import annotations

from atk_latent.data.dataset import Dataset, stratified
from atk_latent.data.loading import load_dataset

__all__ = ["Dataset", "load_dataset", "stratified"]
