"""One loop for every method: make adversarial images, then train on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import keras
import numpy as np
import tensorflow as tf

from atk_latent.adversaries.names import make_adversary
from atk_latent.config import build
from atk_latent.data.streams import Stream, batches
from atk_latent.errors import InputError
from atk_latent.labels import is_correct
from atk_latent.methods.crop_flip import augmented
from atk_latent.methods.extra_data import mixed_batches, pseudo_labelled
from atk_latent.methods.figures import Figure
from atk_latent.methods.fitting import BestWeights, jit_compile, run_fit
from atk_latent.methods.objectives import CrossEntropy
from atk_latent.methods.optimizers import SGDSettings
from atk_latent.methods.recipes import Recipes, recipe
from atk_latent.methods.weight_perturbation import moved_against
from atk_latent.models.scoring import clean_accuracy
from atk_latent.progress import Progress

if TYPE_CHECKING:
    from atk_latent.methods.fixed_sets import FixedSetRequest


def _replicas() -> int:
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


class Method(keras.Model):
    """A classifier and the way it is trained.

    What differs between methods is `perturb`, or `training_batches` where adversarial
    images are made beforehand (and `method_loss` where the loss is not a mixture of two
    terms). `fit`, callbacks, `tf.data`, mixed precision, `jit_compile` and
    `tf.distribute` are Keras' own. The trained `classifier` is taken out and used bare.

    A class says what its settings are (`settings_type`), how presets set them (`recipes`),
    whether `harden` starts from new weights or from those of a vanilla classifier
    (`starts_from`), and whether it is itself what trains that one (`is_vanilla`).

    Data may be ``(x, y)``; then `perturb` makes the adversarial half of each batch, and with
    alpha 0 that half is all there is to train on. Or ``((x, x_adv), y)`` with images made
    beforehand; or ``((x, x_adv), (y, y_adv))`` where the two halves show different images.

    Args:
        classifier: Keras model, images (B, H, W, C) in [0, 1] to logits (B, K).
        settings: how `harden` updates the weights; a method's own settings extend these.
        seed: int, of the order of the data and of everything drawn.
        alpha: float in [0, 1], weight of the clean loss; 1 - alpha is the adversarial one.

    Metrics: `loss`, `accuracy` (when compiled with it), `adversarial_accuracy`.
    """

    settings_type: ClassVar[type[SGDSettings]] = SGDSettings
    recipes: ClassVar[Recipes] = {}
    starts_from: ClassVar[Literal["scratch", "vanilla"]] = "scratch"
    is_vanilla: ClassVar[bool] = False
    updates_per_batch = 1

    def __init__(
        self,
        classifier: keras.Model,
        settings: SGDSettings | None = None,
        *,
        seed: int = 0,
        alpha: float = 0.5,
    ) -> None:
        super().__init__()
        if not classifier.trainable_weights:
            raise InputError(
                "the classifier has no trainable weights. Set model.trainable = True and save it "
                "again; a SavedModel cannot be trained, give the .keras file"
            )
        self.classifier = classifier
        self.steps_per_epoch = 1
        self.settings, self.seed, self.alpha = settings or SGDSettings(), seed, alpha
        self.held_out: np.ndarray | None = None  # images that early stopping scores
        self.seeds = keras.random.SeedGenerator(seed)
        self.adversarial_accuracy = keras.metrics.Mean(name="adversarial_accuracy")

    @classmethod
    def settings_for(
        cls, model: str, data: str, preset: str, overrides: dict[str, Any]
    ) -> SGDSettings:
        """Settings of a preset ("paper", "official", "quick", "stable"), `overrides` on top.

        Args:
            model: name or path of the classifier, "" where none is known.
            data: name of the data set. overrides: typed, or text as on the command line.

        Raises:
            InputError: on an unknown setting, or a value that cannot be.
        """
        del model
        return build(cls.settings_type, {**recipe(cls.recipes, data, preset), **overrides})

    def perturb(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor | None:
        """Adversarial images of a batch, or None to train on clean ones only."""
        del x, y
        return None  # noqa: RET501

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Logits of images, or of each member of a tuple of image batches."""
        if isinstance(inputs, tuple | list):
            return tuple(self.classifier(images, training=training) for images in inputs)
        return self.classifier(inputs, training=training)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Crafts, then takes one optimizer step."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        if not isinstance(x, tuple | list):
            x_adv = self.perturb(x, y)
            if x_adv is not None:
                x_adv = tf.stop_gradient(x_adv)
                x = (x, x_adv) if self.alpha else (x_adv,)
        y_pred, gradients = self.gradients(x, y, weight)
        self.optimizer.apply_gradients(
            zip(gradients, self.classifier.trainable_weights, strict=True)
        )
        return self.compute_metrics(x, y, y_pred, weight)

    def gradients(
        self, x: Any, y: Any, weight: Any = None, *, inputs: Sequence[tf.Tensor] = ()
    ) -> tuple[Any, list[tf.Tensor]]:
        """One pass forward and back; the loss goes to its metric.

        With `awp_gamma` the weights are moved against the method meanwhile.

        Args:
            x, y, weight: a batch in one of the forms above, or ``((x_adv,), y)``, adversarial
                images alone. inputs: tensors behind `x` whose gradients are wanted too.

        Returns:
            The logits; and the gradients, loss-scaled, of every trainable weight of the
            classifier, then of `inputs`.
        """
        if not self.settings.awp_gamma:
            return self.backward(x, y, weight, inputs, track=True)
        begun = self.optimizer.iterations >= (
            self.settings.awp_warmup * self.steps_per_epoch * self.updates_per_batch
        )
        with moved_against(
            self.classifier,
            self.settings.awp_gamma * tf.cast(begun, tf.float32),
            lambda: self.backward(x, y, weight, (), track=False)[1],
        ):
            return self.backward(x, y, weight, inputs, track=True)

    def backward(
        self, x: Any, y: Any, weight: Any, inputs: Sequence[tf.Tensor] = (), *, track: bool
    ) -> tuple[Any, list[tf.Tensor]]:
        """One pass forward and back with the weights where they are; `gradients` asks for it.

        For a method whose gradients are not those of one loss to override, as in a game.

        Args:
            x, y, weight, inputs: as for `gradients`.
            track: whether this pass is the one that counts: its loss goes to the metrics and
                what else is trained may take its step. With `awp_gamma` another one, which
                only says where to move the weights, comes before it.

        Returns:
            As `gradients`.
        """
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight, training=True)
            scaled = self.optimizer.scale_loss(loss)
        for metric in self.metrics if track else ():
            if metric.name == "loss":
                metric.update_state(loss * _replicas(), tf.shape(tf.nest.flatten(x)[0])[0])
        return y_pred, tape.gradient(scaled, [*self.classifier.trainable_weights, *inputs])

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Keras' door to the loss: the compiled one for clean images, else `method_loss`."""
        if not isinstance(y_pred, tuple | list):
            return self.compiled_loss(y, y_pred, sample_weight, training)
        return self.method_loss(y, y_pred, sample_weight, training)

    def method_loss(self, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> tf.Tensor:
        """Alpha * J(x, y) + (1 - alpha) * J(x_adv, y) with the compiled loss J.

        J(x_adv, y) alone for adversarial images alone.

        Args:
            y: labels, or a tuple of them. y_pred: what `call` gave for a tuple of images.
            sample_weight: weights (B,), a tuple of them, or None. training: the mode.

        Returns:
            float32 ().
        """
        if len(y_pred) == 1:
            return self.compiled_loss(y, y_pred[0], sample_weight, training)
        labels = y if isinstance(y, tuple | list) else (y, y)
        weights = sample_weight if isinstance(sample_weight, tuple | list) else 2 * [sample_weight]
        clean, adversarial = (
            self.compiled_loss(*part, training)
            for part in zip(labels, y_pred, weights, strict=True)
        )
        return self.alpha * clean + (1 - self.alpha) * adversarial

    def compiled_loss(
        self, y: tf.Tensor, logits: tf.Tensor, weight: Any = None, training: bool = True
    ) -> tf.Tensor:
        """The loss that `compile` was given, and the regularisers of the layers."""
        return super().compute_loss(y=y, y_pred=logits, sample_weight=weight, training=training)

    def penalties(self) -> tf.Tensor:
        """The regularisers of the layers, which `compiled_loss` counts once each time."""
        return tf.add_n([tf.zeros(()), *map(tf.reduce_sum, self.losses)]) / _replicas()

    def mean(self, values: tf.Tensor, weight: Any = None) -> tf.Tensor:
        """The (weighted) mean of one number a sample, as a Keras loss would reduce it."""
        if weight is not None:
            values = values * tf.reshape(tf.cast(weight, values.dtype), (-1,))
        return tf.reduce_mean(values) / _replicas()

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, tf.Tensor]:
        """Compiled metrics on clean images, `adversarial_accuracy` on adversarial ones."""
        if not isinstance(y_pred, tuple | list):
            logs = super().compute_metrics(x, y, y_pred, sample_weight)
            logs.pop(self.adversarial_accuracy.name, None)
            return logs
        labels = y if isinstance(y, tuple | list) else (y, y)
        self.adversarial_accuracy.update_state(is_correct(labels[1], y_pred[-1]))
        if len(y_pred) == 1:
            return {m.name: m.result() for m in self.metrics if isinstance(m, keras.metrics.Mean)}
        if isinstance(sample_weight, tuple | list):
            sample_weight = sample_weight[0]
        return super().compute_metrics(x[0], labels[0], y_pred[0], sample_weight)

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Results by name; compiled metrics that no clean image has been shown are left out."""
        logs: dict[str, tf.Tensor] = {}
        for metric in self.metrics:
            if getattr(metric, "built", True):
                found = metric.result()
                logs |= found if isinstance(found, dict) else {metric.name: found}
        return logs

    @property
    def needs_teacher(self) -> bool:
        """Whether there are images without labels and no model is named that labels them."""
        return self.settings.extra_data is not None and self.settings.teacher is None

    @property
    def needs_vanilla(self) -> bool:
        """Whether a vanilla classifier must be trained first: to start from, or as teacher."""
        return self.starts_from == "vanilla" or self.needs_teacher

    def fixed_set_request(self) -> FixedSetRequest | None:
        """The adversarial images that are to be handed in with `use`; None for none."""
        return None

    def use(self, x: np.ndarray | None, x_adv: np.ndarray, y: np.ndarray) -> None:
        """Takes the fixed set that `fixed_set_request` asks for.

        Args:
            x: float32 (n, H, W, C) in [0, 1], the originals; None where they are not known.
            x_adv: float32, same shape. y: integers (n,), the true classes.

        Raises:
            InputError: if the method trains on no fixed set, or this one does not fit.
        """
        del x, x_adv, y
        raise InputError(f"{type(self).__name__} trains on no fixed set of adversarial images")

    def prepare(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Trains what the method needs before the classifier; nothing by default.

        Args:
            x: float32 (n, H, W, C) in [0, 1]; y: int64 (n,).
            folder: where helpers and states are kept, and found again by a resumed run.
            progress: told (stage, done, in all, logs).
        """

    def harden(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        folder: Path | None = None,
        progress: Progress | None = None,
        validation_data: tuple[np.ndarray, np.ndarray] | None = None,
        callbacks: list[keras.callbacks.Callback] | None = None,
    ) -> list[dict[str, float]]:
        """Trains the classifier by the method's own recipe.

        Args:
            x, y, folder, progress: as for `prepare`, which has run before.
            validation_data: images and labels to score after each epoch.
            callbacks: Keras callbacks, passed to `fit`.

        Returns:
            The logs of every epoch.
        """
        best = None
        if self.settings.early_stopping:
            x, y, best = self._hold_out(x, y)
        stream, rows = self.training_batches(x, y, progress=progress)
        if self.settings.augment == "crop-flip":
            stream = augmented(stream, self.seed)
        self.steps_per_epoch = -(-rows // self.settings.batch_size)
        self.configure()
        return run_fit(
            self,
            stream,
            epochs=self.settings.epochs,
            steps_per_epoch=self.steps_per_epoch,
            stage="classifier",
            checkpoint=folder,
            progress=progress,
            best=best,
            validation_data=validation_data,
            callbacks=callbacks,
        )

    def save_helpers(self, folder: Path) -> None:
        """Writes what was trained beside the classifier into `folder`; nothing by default."""

    @property
    def kept_models(self) -> tuple[keras.Model, ...]:
        """What `early_stopping` keeps of its best epoch: all that goes on being used."""
        return (self.classifier,)

    def configure(self) -> None:
        """Compiles the method for `harden`: optimizer, loss, metrics."""
        self.compile(
            optimizer=self.settings.optimizer(self.steps_per_epoch * self.updates_per_batch),
            loss=CrossEntropy(self.settings.label_smoothing),
            metrics=["accuracy"],
            jit_compile=jit_compile(),
        )

    def _hold_out(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, BestWeights]:
        """What is left to train on, and the callback that scores each epoch on the rest."""
        if len(x) < 2:
            raise InputError(f"early_stopping needs 2 training images or more. Received: {len(x)}")
        count = min(max(round(self.settings.validation_share * len(x)), 1), len(x) - 1)
        order = np.random.default_rng(self.seed).permutation(len(x))
        held, kept = order[:count], np.sort(order[count:])
        x_held, y_held = x[held], y[held]
        self.held_out = x_held
        steps, eps = self.settings.validation_steps, self.settings.robust_eps
        pgd = make_adversary("pgd", seed=self.seed, eps=eps, steps=steps)

        def score() -> float:
            x_adv = pgd.craft_all(self.classifier, x_held, y_held, seed=self.seed)
            return clean_accuracy(self.classifier, x_adv, y_held).value

        return x[kept], y[kept], BestWeights(self.kept_models, score, "val_pgd_accuracy")

    def training_batches(
        self, x: np.ndarray, y: np.ndarray, *, progress: Progress | None = None
    ) -> tuple[Stream, int]:
        """What `harden` trains on: the images themselves, unless a method makes more of them.

        Returns:
            The stream, in one of the forms above, and the rows of an epoch.
        """
        del progress
        if self.settings.extra_data:
            extra = pseudo_labelled(self.settings, self.classifier, x.shape[1:])
            return mixed_batches((x, y), extra, self.settings, self.seed)

        def stream(step: int) -> tf.data.Dataset:
            return batches((x, y), self.settings.batch_size, seed=self.seed, start_step=step)

        return stream, len(x)

    def measure(self, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
        """Numbers of the method's own on test data, for the card; none by default."""
        del x, y
        return {}

    def figures(
        self, x: np.ndarray, y: np.ndarray, metrics: dict[str, Any], class_names: Sequence[str]
    ) -> dict[str, Figure]:
        """Figures of the method's own, by file name without suffix; none by default.

        Args:
            x, y: test images and labels. metrics: what `measure` found on them.
            class_names: K names.
        """
        del x, y, metrics, class_names
        return {}
