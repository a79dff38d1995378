"""What stands between our callers and an attack of ART's that needs it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from art.attacks.attack import EvasionAttack
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.adversaries import losses
from atk_latent.art_bridge.art_settings import AutoAttackSettings
from atk_latent.art_bridge.bound_attack import Attack, change_size
from atk_latent.art_bridge.estimator import CompiledKerasClassifier
from atk_latent.art_bridge.estimator_graphs import Loss


class WithoutLabels:
    """Keeps the labels from an ART attack that would take them for targets."""

    def __init__(self, attack: EvasionAttack) -> None:
        self.attack = attack

    def generate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Attacks `x`; `y` is not used."""
        return np.asarray(self.attack.generate(x=x))


class FromOtherClass:
    """Gives HopSkipJump its starting images, from the seeded generator.

    ART draws them from a generator that no seed reaches, and gives up where noise is never
    taken for another class. Here the start is the nearest of `draws` uniform images and of
    the attacked images themselves that the model puts in another class.
    """

    def __init__(self, attack: EvasionAttack, draws: int) -> None:
        self.attack = attack
        self.draws = draws

    def generate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Attacks `x`; `y` is not used."""
        noise = np.random.uniform(0, 1, (self.draws, *x.shape[1:])).astype(np.float32)
        pool = np.concatenate([noise, x])
        classes = self.attack.estimator.predict(pool).argmax(axis=1)
        start = np.array(x)
        for row, own in enumerate(classes[self.draws :]):
            others = np.flatnonzero(classes != own)
            if len(others):
                gaps = ((pool[others] - x[row]) ** 2).sum(axis=tuple(range(1, x.ndim)))
                start[row] = pool[others[gaps.argmin()]]
        return np.asarray(self.attack.generate(x=x, x_adv_init=start))


class Projected:
    """Takes away the 1e-4 by which ART's AutoAttack lets an image leave the ball."""

    def __init__(self, attack: EvasionAttack, eps: float) -> None:
        self.attack = attack
        self.eps = eps

    def generate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Attacks `x`."""
        x_adv = self.attack.generate(x=x, y=y)
        slack = self.eps * (1 + 2e-4)
        inside = np.clip(x_adv, x - np.float32(self.eps), x + np.float32(self.eps))
        near = change_size(x, x_adv, "linf") <= slack
        return np.asarray(np.where(near.reshape(-1, *([1] * (x.ndim - 1))), inside, x_adv))


def art_autoattack(
    settings: AutoAttackSettings, estimator: TensorFlowV2Classifier, square: Attack
) -> Projected:
    """ART's AutoAttack with its parts on the compiled estimator.

    Args:
        settings: with a radius. estimator: ours. square: the attack that comes last.
    """
    import art.attacks.evasion as evasion

    eps, size = settings.eps or 0.0, getattr(estimator, "batch_size", 128)
    objectives: list[Loss | None] = [None]
    if estimator.nb_classes > 2:
        objectives.append(_dlr)
    parts = [
        evasion.AutoProjectedGradientDescent(
            _with_loss(estimator, loss),
            eps=eps,
            eps_step=2 * eps,
            max_iter=settings.steps,
            nb_random_init=settings.restarts,
            batch_size=size,
            loss_type=None,
            verbose=False,
        )
        for loss in objectives
    ]
    for part in parts:
        part.targeted = False
    parts.append(
        evasion.DeepFool(estimator, max_iter=100, epsilon=1e-3, batch_size=size, verbose=False)
    )
    suite = evasion.AutoAttack(
        estimator, eps=eps, eps_step=2 * eps, attacks=[*parts, square], batch_size=size
    )
    return Projected(suite, eps)


def _dlr(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """`losses.dlr` as the loss of an estimator: one-hot labels first."""
    return losses.dlr(logits, tf.argmax(y, axis=1, output_type=tf.int32))


def _with_loss(estimator: TensorFlowV2Classifier, loss: Loss | None) -> CompiledKerasClassifier:
    """A second estimator of the same model that attacks another loss."""
    return CompiledKerasClassifier(
        getattr(estimator, "logits_model", estimator.model),
        estimator.nb_classes,
        estimator.input_shape,
        loss_object=loss,
        clip_values=(float(estimator.clip_values[0]), float(estimator.clip_values[1])),
        preprocessing_defences=estimator.preprocessing_defences,
        postprocessing_defences=estimator.postprocessing_defences,
        preprocessing=estimator.preprocessing,
        batch_size=getattr(estimator, "batch_size", 128),
    )
