"""ATLD: a classifier, a discriminator of its latents, and images that set them apart."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from atk_latent.adversaries.latent_discriminator import (
    Latent,
    LatentDiscriminator,
    encoder,
    flat,
)
from atk_latent.adversaries.latent_manifold import LatentManifold
from atk_latent.adversaries.noise import RowNoise
from atk_latent.atomic import json_text
from atk_latent.checksums import noted_helper
from atk_latent.errors import InputError
from atk_latent.files import MIB, FileKind, read_json
from atk_latent.methods.atld_settings import ATLDSettings
from atk_latent.methods.base import Batch, Method, Weights
from atk_latent.methods.fit import jit_compile
from atk_latent.methods.objectives import CrossEntropy, replicas
from atk_latent.models.latent import latent_width
from atk_latent.models.manifold_discriminator import manifold_discriminator
from atk_latent.results.record import Record

DISCRIMINATOR, MANIFOLD = "discriminator.keras", "manifold.json"
_MANIFOLD_FILE = FileKind("file of an ATLD run's settings", MIB, "Train the run again")
DEAD_SCALE = 1e-4  # a gradient ratio below it leaves nothing of the mse term
BLIND, SURE = 0.55, 0.995  # discriminator accuracies that leave no game to play
_Judged = tuple[tf.Tensor, tf.Tensor]  # score (B,) and class logits (B, K)
_Judge = Callable[[tf.Tensor], _Judged]


class DeadRegulariserWarning(UserWarning):
    """The divergence term no longer does anything for the classifier."""


class ATLD(Method):
    """A classifier trained on latent manifold adversarial examples, in a game of three.

    For each batch: (1) images are moved so that the discriminator finds their latents more
    adversarial, without labels (Eq 13 and 25); (2) the discriminator learns to tell clean from
    adversarial latents, and their classes (Eq 7); (3) the classifier learns the adversarial
    images under smoothed labels and to bring the two latent distributions together. The
    discriminator of a trained game serves IMT, see `inference.imt`.

    Args:
        classifier: Keras model, images (B, H, W, C) in [0, 1] to logits (B, K).
        settings: see `ATLDSettings`; `settings_for` makes those of a preset.
        discriminator: latents (B, N) to score (B,), the logit of being CLEAN, and class logits
            (B, K); None builds the one that the settings name.
        seed: int >= 0, of the discriminator's weights, the data's order and random starts.

    Metrics: `loss`; `accuracy` of clean images; `adversarial_accuracy`; `divergence`, the value
        of the classifier's term; `scale`, what it is multiplied with; `discriminator_accuracy`,
        on the latents it is about to learn from.

    Reference: ATLD Eq 4 to 7, 13, 25.
    Differs: "1 - log D" of Eq 6 and 7 is read as log(1 - D), its printed form having no
        lower bound; means over the batch for sums; losses are computed from the score, where
        the published code bounds logarithms of probabilities; `manifold_loss` is cut at
        the floor of the supremum it stands for; judging for the classifier's term leaves the
        discriminator's batch statistics alone. `clean_pass_every` counts through all epochs,
        the published code anew in each.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.methods import ATLD, ATLDSettings, DiscriminatorSettings, Optimizer
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
        >>> y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
        >>> settings = ATLDSettings(
        ...     optimizer=Optimizer(epochs=2, label_smoothing=0.1),
        ...     discriminator=DiscriminatorSettings("small"),
        ... )
        >>> method = ATLD(keras.Sequential(layers), settings)
        >>> logs = method.harden(x, y)
        >>> len(logs), 0 <= logs[-1]["adversarial_accuracy"] <= 1
        (2, True)
    """

    settings_type = ATLDSettings
    settings: ATLDSettings

    def __init__(
        self,
        classifier: keras.Model,
        settings: ATLDSettings | None = None,
        *,
        discriminator: keras.Model | None = None,
        seed: int = 0,
    ) -> None:
        settings = settings or ATLDSettings()
        super().__init__(classifier, settings, seed=seed, alpha=0.0)
        classifier = self.classifier
        latent, layer = settings.latent, settings.latent_layer
        classes = int(classifier.output_shape[-1])
        _check_smoothing(settings, classes)
        if discriminator is None:
            width = latent_width(encoder(classifier, latent, layer)[0])
            discriminator = manifold_discriminator(
                width, classes, settings.discriminator.architecture, seed
            )
        self.discriminator = discriminator
        self.manifold = LatentDiscriminator(classifier, discriminator, latent=latent, layer=layer)
        self.adversary = LatentManifold(
            self.manifold,
            settings.crafting.ascent(),
            batch_statistics=settings.discriminator.mode == "training",
            seed=seed,
        )
        self.discriminator_optimizer: keras.optimizers.Optimizer = None  # until `compile`
        self.warning: str | None = None  # after `harden`, what was wrong with the game
        self.class_loss = CrossEntropy(settings.discriminator.class_smoothing)
        self.watched = {
            name: keras.metrics.Mean(name=name)
            for name in ("divergence", "scale", "discriminator_accuracy")
        }

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        """What the classifier's optimizer updates; the discriminator has its own."""
        return list(self.classifier.trainable_weights)

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str = "sgd",
        *,
        discriminator_optimizer: keras.optimizers.Optimizer | None = None,
        **options: object,
    ) -> None:
        """Keras' `compile`, and the discriminator's optimizer.

        Args:
            optimizer: of the classifier.
            discriminator_optimizer: None is that of the settings.
            **options: Keras' own; `loss` is the classifier's loss on adversarial images,
                smoothed cross-entropy when left out.
        """
        options.setdefault("loss", self.settings.optimizer.loss())
        super().compile(optimizer=optimizer, **options)
        self.optimizer.build(self.classifier.trainable_weights)
        second = discriminator_optimizer
        if second is None:
            second = self.settings.discriminator.make_optimizer(
                self.settings.optimizer, self.steps_per_epoch
            )
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            second = keras.optimizers.LossScaleOptimizer(second)
        self.discriminator_optimizer = second
        second.build(self.discriminator.trainable_weights)

    @property
    def models_of_best_epoch(self) -> tuple[keras.Model, ...]:
        """The classifier and the discriminator it was trained against, which IMT needs."""
        return (self.classifier, self.discriminator)

    def configure(self) -> None:
        """Compiles the game for `harden`."""
        self.compile(
            self.settings.optimizer.make(self.steps_per_epoch),
            metrics=["accuracy"],
            jit_compile=jit_compile(),
        )

    def train_step(self, data: tuple[Batch, ...]) -> dict[str, tf.Tensor]:
        """Crafts, then updates the discriminator and the classifier."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        x = tf.cast(x, tf.float32)
        x_adv, z = self.adversary.craft_and_encode(
            x,
            self._noise(x),
            move_statistics=self.settings.discriminator.crafting_moves_statistics,
        )
        if self.settings.clean_latents == "batch":
            with keras.StatelessScope():
                z = self.manifold.latents(x, training=True)
        elif self.settings.clean_latents == "inference" and z is None:
            z = self.manifold.latents(x)
        z = x if z is None else z  # "joint" makes its own
        batch = (x, tf.stop_gradient(x_adv), tf.stop_gradient(z))
        due = self._clean_pass_is_due()
        logs = super().train_step((batch, y, weight))
        if due is not None:
            self._clean_pass(x, due)
        return logs

    def _clean_pass_is_due(self) -> tf.Tensor | None:
        """Whether a clean pass follows this update; None where there are none."""
        every = self.settings.clean_pass_every
        return tf.equal(self.optimizer.iterations % every, 0) if every else None

    def _clean_pass(self, x: tf.Tensor, due: tf.Tensor) -> None:
        """Lets clean images move the classifier's running statistics where that is due."""
        statistics = self.classifier.non_trainable_weights
        if not statistics:
            return

        def moved() -> list[tf.Tensor]:
            with keras.StatelessScope() as scope:
                self.classifier(x, training=True)
            values = [scope.get_current_value(weight) for weight in statistics]
            return [
                tf.identity(weight.value if value is None else value)
                for weight, value in zip(statistics, values, strict=True)
            ]

        # assigned outside of the branch, where a distribution strategy allows it
        values = tf.cond(due, moved, lambda: [tf.identity(w.value) for w in statistics])
        for weight, value in zip(statistics, values, strict=True):
            weight.assign(value)

    def _noise(self, x: tf.Tensor) -> RowNoise:
        """Random numbers of this update, each image's own whatever replica it is on."""
        seed = tf.stack(
            [tf.cast(self.seed, tf.int64), tf.cast(self.optimizer.iterations, tf.int64)]
        )
        replica = tf.distribute.get_replica_context()
        first = replica.replica_id_in_sync_group * tf.shape(x)[0] if replica else 0
        return RowNoise(seed, first)

    def backward(
        self, x: Batch, y: Batch, weight: Weights, inputs: Sequence[tf.Tensor] = (), *, track: bool
    ) -> tuple[Batch, list[tf.Tensor]]:
        """The game's pass; where it counts the discriminator takes its steps meanwhile."""
        x, x_adv, z = x
        with tf.GradientTape(persistent=self.settings.divergence.term == "mse_ratio") as tape:
            tape.watch([x_adv, *inputs])
            z, z_adv = self._encoded(x, x_adv, z)
            logits = self.manifold.logits(z_adv, training=True)
            loss = self.compute_loss(x=None, y=y, y_pred=logits, sample_weight=weight)
            if track:
                with tape.stop_recording():
                    self._discriminator_steps(z, z_adv, y)
            term = self._term(z, z_adv) / replicas()
        scale = self._scale(tape, loss, term, x_adv)
        factor = self.optimizer.scale_loss(tf.ones((), loss.dtype))
        gradients = tape.gradient(
            [loss, term], [*self.classifier.trainable_weights, *inputs], [factor, factor * scale]
        )
        if track:
            self._note(loss, term, scale, tf.shape(x_adv)[0])
        return (self.manifold.logits(z), logits), gradients

    def _encoded(self, x: tf.Tensor, x_adv: tf.Tensor, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Latents of clean and of adversarial images."""
        if self.settings.clean_latents != "joint":
            return z, self.manifold.latents(x_adv, training=True)
        both = self.manifold.latents(tf.concat([x, x_adv], axis=0), training=True)
        return tuple(tf.split(both, 2))

    def _scores(self, z: tf.Tensor, z_adv: tf.Tensor, judge: _Judge) -> tuple[_Judged, _Judged]:
        """What `judge`, latents to (score, class logits), says of clean and adversarial ones."""
        if self.settings.discriminator.batches == "separate":
            if self.settings.discriminator.first_batch == "clean":
                return judge(flat(z)), judge(flat(z_adv))
            adversarial = judge(flat(z_adv))
            return judge(flat(z)), adversarial
        score, classes = judge(tf.concat([flat(z), flat(z_adv)], axis=0))
        (first, second), (left, right) = tf.split(score, 2), tf.split(classes, 2)
        return (first, left), (second, right)

    def _discriminator_steps(self, z: tf.Tensor, z_adv: tf.Tensor, y: tf.Tensor) -> None:
        """Eq 7's inner problem: the manifold unit on its two classes, the class units on y."""
        weights = self.discriminator.trainable_weights
        for step in range(self.settings.discriminator.steps):
            with tf.GradientTape() as tape:
                judged = self._scores(
                    tf.stop_gradient(z),
                    tf.stop_gradient(z_adv),
                    lambda latents: self.discriminator(latents, training=True),
                )
                loss = self._discriminator_loss(*judged, y) / replicas()
                scaled = self.discriminator_optimizer.scale_loss(loss)
            if step == 0:
                right = tf.concat([judged[0][0] > 0, judged[1][0] < 0], axis=0)
                self.watched["discriminator_accuracy"].update_state(tf.cast(right, tf.float32))
            self.discriminator_optimizer.apply(tape.gradient(scaled, weights), weights)

    def _discriminator_loss(self, clean: _Judged, adversarial: _Judged, y: tf.Tensor) -> tf.Tensor:
        """BCE of the manifold unit and cross-entropy of the class units, on both halves."""
        labels = tf.convert_to_tensor(y)
        parts = [
            tf.math.softplus(-clean[0]),
            tf.math.softplus(adversarial[0]),
            self.class_loss.call(labels, clean[1]),
            self.class_loss.call(labels, adversarial[1]),
        ]
        return tf.add_n([tf.reduce_mean(tf.cast(part, tf.float32)) for part in parts])

    def _term(self, z: tf.Tensor, z_adv: tf.Tensor) -> tf.Tensor:
        """The classifier's divergence term, unweighted, mean over the batch."""
        kind = self.settings.divergence.term
        if kind == "none":
            return tf.zeros(())
        if kind in ("mse", "mse_ratio"):
            return tf.reduce_mean(tf.math.squared_difference(flat(z_adv), flat(z)))
        batch = self.settings.discriminator.mode == "training"
        (clean, _), (adversarial, _) = self._scores(
            z, z_adv, lambda latents: self.manifold.judge(latents, batch_statistics=batch)
        )
        if kind == "non-saturating":
            return tf.reduce_mean(tf.math.softplus(-adversarial))
        return manifold_loss(clean, adversarial)

    def _scale(
        self, tape: tf.GradientTape, loss: tf.Tensor, term: tf.Tensor, x_adv: tf.Tensor
    ) -> tf.Tensor:
        """What the term is multiplied with, a constant for the gradient."""
        coefficient = tf.constant(self.settings.divergence.coefficient, tf.float32)
        if self.settings.divergence.term != "mse_ratio":
            return coefficient
        return coefficient * gradient_ratio(*(tape.gradient(part, x_adv) for part in (loss, term)))

    def _note(self, loss: tf.Tensor, term: tf.Tensor, scale: tf.Tensor, rows: tf.Tensor) -> None:
        total = (loss + scale * term) * replicas()
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(total, rows)
        self.watched["divergence"].update_state(term * replicas(), rows)
        self.watched["scale"].update_state(scale, rows)

    def compute_metrics(
        self, x: Batch, y: Batch, y_pred: Batch, sample_weight: Weights = None
    ) -> dict[str, tf.Tensor]:
        """Those of `Method`; the game's own only where there was a game."""
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        if isinstance(y_pred, tuple | list):
            return logs
        return {name: value for name, value in logs.items() if name not in self.watched}

    def harden(self, x: np.ndarray, y: np.ndarray, **options: Any) -> list[dict[str, float]]:
        """Plays the game; see `Method.harden`.

        Warns (`DeadRegulariserWarning`) at the end of the first epoch that has no game in it.
        """
        watch = Watch(self.settings)
        callbacks = [watch, *(options.pop("callbacks", None) or [])]
        logs = super().harden(x, y, callbacks=callbacks, **options)
        self.warning = watch.first_problem(logs)  # of the epochs of stopped runs, too
        return logs

    def save_helpers(self, folder: Path) -> None:
        """Writes the discriminator and what it takes to use it again (`inference.loading`)."""
        folder.mkdir(parents=True, exist_ok=True)
        with noted_helper(folder / DISCRIMINATOR) as part:
            self.discriminator.save(part)
        content = {
            "latent": self.settings.latent,
            "latent_layer": self.settings.latent_layer,
            "imt": self.imt_settings(),
        }
        with noted_helper(folder / MANIFOLD) as part:
            part.write_text(json_text(content) + "\n", encoding="utf-8")

    def imt_settings(self) -> dict[str, float | bool]:
        """How IMT is to be done after this game; fields of `inference.imt.IMTSettings`."""
        settings = self.settings
        return dataclasses.asdict(settings.imt.resolved(settings.crafting.eps))

    def measure(self, x: np.ndarray, y: np.ndarray) -> dict[str, object]:
        """How well the discriminator tells test images from those crafted of them."""
        x_adv = self.adversary.craft_all(self.manifold.verdict, x, y, seed=self.seed)
        scores = [
            np.concatenate(
                [
                    self.manifold.score(tf.constant(images[i : i + 500]))
                    for i in range(0, len(x), 500)
                ]
            )
            for images in (np.asarray(x, np.float32), x_adv)
        ]
        right = [np.mean(scores[0] > 0), np.mean(scores[1] < 0)]
        return {
            **({"warning": self.warning} if self.warning else {}),
            "discriminator_test_accuracy": float(np.mean(right)),
            "discriminator_clean_recognised": float(right[0]),
            "discriminator_adversarial_recognised": float(right[1]),
        }


def manifold_loss(clean: tf.Tensor, adversarial: tf.Tensor) -> tf.Tensor:
    """sup_W L_d0 = mean log D0(f(x_adv)) + mean log(1 - D0(f(x))), for the classifier.

    The supremum cannot be less than -2 log 2, the value of a discriminator that always says
    one half. A lower value only says that the discriminator lags behind; it is cut there, and
    gives the classifier no gradient, which otherwise runs after a loss without lower bound.

    Args:
        clean, adversarial: scores (B,), logits of 1 - D0.

    Returns:
        float32 (), in [-2 log 2, 0].

    Reference: ATLD Eq 7 and 12.
    """
    terms = [tf.math.softplus(adversarial), tf.math.softplus(-clean)]
    return tf.maximum(-tf.add_n([tf.reduce_mean(term) for term in terms]), -2.0 * math.log(2.0))


def gradient_ratio(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """The largest value of one gradient over that of another, float32 (), a constant.

    Signed maxima over the whole batch, all replicas included; 0 where the second is 0.

    Reference: ATLD's published code.
    """
    largest = tf.stack([tf.reduce_max(first), tf.reduce_max(second)])
    replica = tf.distribute.get_replica_context()
    if replica is not None and replica.num_replicas_in_sync > 1:
        largest = tf.reduce_max(replica.all_gather(largest[None], axis=0), axis=0)
    return tf.stop_gradient(tf.math.divide_no_nan(largest[0], largest[1]))


class Watch(keras.callbacks.Callback):
    """Warns, once, when the divergence term has died.

    That is when, over an epoch, its scale was below `DEAD_SCALE` though it should follow the
    gradients; or the discriminator was right less than `BLIND` of the time, so that its
    gradient says nothing of the manifold; or more than `SURE`, where the term
    "discriminator" has no gradient left.

    Args:
        settings: of the game.
    """

    def __init__(self, settings: ATLDSettings) -> None:
        super().__init__()
        self.settings, self.warned = settings, False

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the logs of an epoch."""
        problem = self.diagnosis(logs or {})
        if problem and not self.warned:
            self.warned = True
            warnings.warn(f"epoch {epoch + 1}: {problem}", DeadRegulariserWarning, stacklevel=2)

    def first_problem(self, epochs: Sequence[dict[str, float]]) -> str | None:
        """The first epoch with something wrong, and what; None where there is none."""
        problems = ((number, self.diagnosis(logs)) for number, logs in enumerate(epochs, 1))
        return next((f"epoch {number}: {text}" for number, text in problems if text), None)

    def diagnosis(self, logs: dict[str, float]) -> str | None:
        """What is wrong with the game, in one line; None where it is alive."""
        kind, accuracy = self.settings.divergence.term, logs.get("discriminator_accuracy", 0.75)
        if kind == "mse_ratio" and logs.get("scale", 1.0) < DEAD_SCALE:
            return (
                f"the divergence term is dead: its scale is {logs['scale']:.2g} at a divergence of "
                f"{logs['divergence']:.3g}. Try clean_latents=batch, or theta_term=mse"
            )
        if accuracy < BLIND:
            return (
                f"the discriminator is right in {accuracy:.1%} only: its gradients craft noise. "
                "Try a smaller learning_rate, a larger discriminator_learning_rate or more d_steps"
            )
        if kind == "discriminator" and accuracy > SURE:
            return (
                f"the discriminator is right in {accuracy:.1%}: nothing of it reaches the "
                "classifier. Try theta_term=non-saturating, or a smaller "
                "discriminator_learning_rate"
            )
        return None


class Manifold(Record):
    """What lies beside a discriminator in `manifold.json`.

    Args:
        latent, latent_layer: which latents it judges, as in `ATLDSettings`.
        imt: how IMT is to be done; fields of `inference.imt.IMTSettings`.
    """

    latent: Latent
    latent_layer: str | None = None
    imt: dict[str, float | bool | None]


def load_settings(folder: Path) -> Manifold:
    """What `ATLD.save_helpers` wrote beside the discriminator.

    Raises:
        InputError: if the file is missing, damaged or has a wrong field.
    """
    file = folder / MANIFOLD
    return Manifold.from_json(read_json(file, _MANIFOLD_FILE), str(file))


def _check_smoothing(settings: ATLDSettings, classes: int) -> None:
    """Refuses labels that do not name their class any more, as 0.5 of two classes."""
    most = 1 - 1 / classes
    for name, value in (
        ("label_smoothing", settings.optimizer.label_smoothing),
        ("class_head_smoothing", settings.discriminator.class_smoothing),
    ):
        if value >= most:
            raise InputError(
                f"setting '{name}' must be below {most:g} for {classes} classes, where all labels "
                f"are alike. Received: {value:g}; set {name}=0.1"
            )
