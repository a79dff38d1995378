"""What every attack does with labels and seeds before it crafts."""

from __future__ import annotations

import numpy as np
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.labels import integer_labels


def labels_for(
    estimator: TensorFlowV2Classifier, x: np.ndarray | None, y: np.ndarray | None, batch_size: int
) -> np.ndarray:
    """Labels as integers (n,); the estimator's predictions of `x` where there are none.

    Args:
        estimator: an ART classifier. x: images in its clip values; asked without `y` alone.
        y: integers (n,) or one-hot (n, K), or None. batch_size: images at once.

    Raises:
        InputError: for labels that do not fit the estimator.
    """
    if y is None:
        y = np.argmax(estimator.predict(x, batch_size=batch_size), axis=1)
    return integer_labels(y, estimator.nb_classes)


def drawn_seed(seed: int | None) -> int:
    """`seed`, or one drawn from NumPy's global state, as ART's own attacks do."""
    return int(np.random.randint(2**31) if seed is None else seed)
