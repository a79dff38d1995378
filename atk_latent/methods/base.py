"""One loop for every method: make adversarial images, then train on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from atk_latent.config import Flat
from atk_latent.data.streams import Stream, batches
from atk_latent.errors import InputError
from atk_latent.labels import is_correct
from atk_latent.methods import presets
from atk_latent.methods.callbacks import BestWeights
from atk_latent.methods.figures import Figure
from atk_latent.methods.fit import Loop, jit_compile, run_fit
from atk_latent.methods.fixed_set import FixedSetRequest
from atk_latent.methods.objectives import replicas
from atk_latent.methods.settings import MethodSettings
from atk_latent.models.endings import as_logits
from atk_latent.progress import Progress
from atk_latent.registry import METHODS

Batch: TypeAlias = tf.Tensor | tuple[tf.Tensor, ...]  # one tensor, or a member each of the halves
Logits: TypeAlias = Sequence[tf.Tensor]
Weights: TypeAlias = Batch | None


class Method(keras.Model):
    """A classifier and the way it is trained.

    What differs between methods is `perturb`, or `training_batches` where adversarial
    images are crafted beforehand (and `method_loss` where the loss is not a mixture of two
    terms). `fit`, callbacks, `tf.data`, mixed precision, `jit_compile` and
    `tf.distribute` are Keras' own. The trained `classifier` is taken out and used bare.

    A class names the type of its settings (`settings_type`, whose parts do what all methods
    share), whether `harden` starts from new weights or from those of a vanilla classifier
    (`starts_from`), and whether it is itself what trains that one (`is_vanilla`). Its presets
    are rows of `presets/*.yaml`, under its registered name.

    Data may be ``(x, y)``; then `perturb` makes the adversarial half of each batch, and with
    alpha 0 that half is all there is to train on. Or ``((x, x_adv), y)`` with images crafted
    beforehand; or ``((x, x_adv), (y, y_adv))`` where the two halves show different images.

    Args:
        classifier: Keras model, images (B, H, W, C) in [0, 1] to logits (B, K); one that ends in
            softmax or sigmoid is trained by its logits, see `models.endings.as_logits`.
        settings: see `MethodSettings`; a method's own settings extend these.
        seed: int, of the order of the data and of everything drawn.
        alpha: float in [0, 1], weight of the clean loss; 1 - alpha is the adversarial one.

    Metrics: `loss`, `accuracy` (when compiled with it), `adversarial_accuracy`.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.methods import Method, MethodSettings, Optimizer
        >>> class Noisy(Method):
        ...     def perturb(self, x, y):
        ...         return x + keras.random.uniform(keras.ops.shape(x), -0.1, 0.1, seed=self.seeds)
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
        >>> y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
        >>> method = Noisy(keras.Sequential(layers), MethodSettings(Optimizer(epochs=2)))
        >>> len(method.harden(x, y))
        2
    """

    settings_type: ClassVar[type[MethodSettings]] = MethodSettings
    starts_from: ClassVar[Literal["scratch", "vanilla"]] = "scratch"
    is_vanilla: ClassVar[bool] = False
    updates_per_batch = 1

    def __init__(
        self,
        classifier: keras.Model,
        settings: MethodSettings | None = None,
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
        self.classifier = classifier = as_logits(classifier)
        self.steps_per_epoch = 1
        self.settings, self.seed, self.alpha = settings or MethodSettings(), seed, alpha
        self.held_out: np.ndarray | None = None  # images that early stopping is scored on
        self.seeds = keras.random.SeedGenerator(seed)
        self.adversarial_accuracy = keras.metrics.Mean(name="adversarial_accuracy")

    @classmethod
    def settings_for(cls, model: str, data: str, preset: str, overrides: Flat) -> Any:
        """Settings of a preset ("paper", "official", "quick", "stable"), `overrides` on top.

        See `presets.resolve`, which also says whether the preset has rows for the data.

        Args:
            model: name or path of the classifier, "" where none is known.
            data: name of the data set. overrides: by flat name, typed or as text.

        Returns:
            A `settings_type`.

        Raises:
            InputError: on an unknown setting, or a value that cannot be.
        """
        return presets.resolve(METHODS.name_of(cls), data, preset, model, overrides).settings

    def perturb(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor | None:
        """Adversarial images of a batch, or None to train on clean ones only."""
        del x, y
        return None  # noqa: RET501

    def call(self, inputs: Batch, training: bool | None = None) -> Batch:
        """Logits of images, or of each member of a tuple of image batches."""
        if isinstance(inputs, tuple | list):
            return tuple(self.classifier(images, training=training) for images in inputs)
        return self.classifier(inputs, training=training)

    def train_step(self, data: tuple[Batch, ...]) -> dict[str, tf.Tensor]:
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
        self, x: Batch, y: Batch, weight: Weights = None, *, inputs: Sequence[tf.Tensor] = ()
    ) -> tuple[Batch, list[tf.Tensor]]:
        """One pass forward and back; the loss goes to its metric.

        The weights are moved meanwhile where the settings perturb them.

        Args:
            x, y, weight: a batch in one of the forms above, or ``((x_adv,), y)``, adversarial
                images alone. inputs: tensors behind `x` whose gradients are wanted too.

        Returns:
            The logits; and the gradients, loss-scaled, of every trainable weight of the
            classifier, then of `inputs`.
        """
        with self.settings.weight_perturbation.moved(
            self.classifier,
            self.optimizer.iterations,
            self.steps_per_epoch * self.updates_per_batch,
            lambda: self.backward(x, y, weight, (), track=False)[1],
        ):
            return self.backward(x, y, weight, inputs, track=True)

    def backward(
        self, x: Batch, y: Batch, weight: Weights, inputs: Sequence[tf.Tensor] = (), *, track: bool
    ) -> tuple[Batch, list[tf.Tensor]]:
        """One pass forward and back with the weights where they are; `gradients` asks for it.

        For a method whose gradients are not those of one loss to override, as in a game.

        Args:
            x, y, weight, inputs: as for `gradients`.
            track: whether this pass is the one that counts: its loss goes to the metrics and
                what else is trained may take its step. Weight perturbation runs another one
                before it, which only says where to move the weights.

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
                metric.update_state(loss * replicas(), tf.shape(tf.nest.flatten(x)[0])[0])
        return y_pred, tape.gradient(scaled, [*self.classifier.trainable_weights, *inputs])

    def compute_loss(
        self,
        x: Batch | None = None,
        y: Batch | None = None,
        y_pred: Batch | None = None,
        sample_weight: Weights = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Keras' door to the loss: the compiled one for clean images, else `method_loss`."""
        if not isinstance(y_pred, tuple | list):
            return self.compiled_loss(y, y_pred, sample_weight, training)
        return self.method_loss(y, y_pred, sample_weight, training)

    def method_loss(self, y: Batch, y_pred: Logits, weight: Weights, training: bool) -> tf.Tensor:
        """Alpha * J(x, y) + (1 - alpha) * J(x_adv, y) with the compiled loss J.

        J(x_adv, y) alone for adversarial images alone.

        Args:
            y: labels, or a tuple of them. y_pred: what `call` returned for a tuple of images.
            weight: weights (B,), a tuple of them, or None. training: the mode.

        Returns:
            float32 ().
        """
        if len(y_pred) == 1:
            return self.compiled_loss(y, y_pred[0], weight, training)
        labels = y if isinstance(y, tuple | list) else (y, y)
        weights = weight if isinstance(weight, tuple | list) else 2 * [weight]
        clean, adversarial = (
            self.compiled_loss(*part, training)
            for part in zip(labels, y_pred, weights, strict=True)
        )
        return self.alpha * clean + (1 - self.alpha) * adversarial

    def compiled_loss(
        self, y: tf.Tensor, logits: tf.Tensor, weight: Weights = None, training: bool = True
    ) -> tf.Tensor:
        """The loss that `compile` was given, and the regularisers of the layers."""
        return super().compute_loss(y=y, y_pred=logits, sample_weight=weight, training=training)

    def penalties(self) -> tf.Tensor:
        """The regularisers of the layers, which `compiled_loss` counts once each time."""
        return tf.add_n([tf.zeros(()), *map(tf.reduce_sum, self.losses)]) / replicas()

    def mean(self, values: tf.Tensor, weight: Weights = None) -> tf.Tensor:
        """The (weighted) mean of one number a sample, as a Keras loss would reduce it."""
        if weight is not None:
            values = values * tf.reshape(tf.cast(weight, values.dtype), (-1,))
        return tf.reduce_mean(values) / replicas()

    def compute_metrics(
        self, x: Batch, y: Batch, y_pred: Batch, sample_weight: Weights = None
    ) -> dict[str, tf.Tensor]:
        """Compiled metrics on clean images, `adversarial_accuracy` on adversarial ones."""
        if not isinstance(y_pred, tuple | list):
            logs = dict(super().compute_metrics(x, y, y_pred, sample_weight))
            logs.pop(self.adversarial_accuracy.name, None)
            return logs
        labels = y if isinstance(y, tuple | list) else (y, y)
        self.adversarial_accuracy.update_state(is_correct(labels[1], y_pred[-1]))
        if len(y_pred) == 1:
            return {m.name: m.result() for m in self.metrics if isinstance(m, keras.metrics.Mean)}
        if isinstance(sample_weight, tuple | list):
            sample_weight = sample_weight[0]
        return dict(super().compute_metrics(x[0], labels[0], y_pred[0], sample_weight))

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Results by name, without the compiled metrics that no clean image has updated."""
        logs: dict[str, tf.Tensor] = {}
        for metric in self.metrics:
            if getattr(metric, "built", True):
                value = metric.result()
                logs |= value if isinstance(value, dict) else {metric.name: value}
        return logs

    @property
    def needs_teacher(self) -> bool:
        """Whether there are images without labels and no model is named that labels them."""
        extra = self.settings.extra_data
        return extra.path is not None and extra.teacher is None

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
            folder: where helpers and states are stored, and loaded from by a resumed run.
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
        settings, best = self.settings, None
        if settings.early_stopping.enabled:
            split = settings.early_stopping.split(x, y, self.seed)
            x, y, self.held_out = split.x, split.y, split.x_held_out
            score = settings.early_stopping.score(
                self.classifier, split, settings.linf_radius, self.seed
            )
            best = BestWeights(self.models_of_best_epoch, score, "val_pgd_accuracy")
        stream, rows = self.training_batches(x, y, progress=progress)
        self.steps_per_epoch = -(-rows // settings.optimizer.batch_size)
        self.configure()
        return run_fit(
            self,
            settings.augmentation.apply(stream, self.seed),
            Loop(settings.optimizer.epochs, self.steps_per_epoch, "classifier", folder, progress),
            best=best,
            validation_data=validation_data,
            callbacks=callbacks or (),
        )

    def save_helpers(self, folder: Path) -> None:
        """Writes what was trained beside the classifier into `folder`; nothing by default."""

    @property
    def models_of_best_epoch(self) -> tuple[keras.Model, ...]:
        """The models whose weights `early_stopping` takes from the best epoch."""
        return (self.classifier,)

    def configure(self) -> None:
        """Compiles the method for `harden`: optimizer, loss, metrics."""
        self.compile(
            optimizer=self.settings.optimizer.make(self.steps_per_epoch * self.updates_per_batch),
            loss=self.settings.optimizer.loss(),
            metrics=["accuracy"],
            jit_compile=jit_compile(),
        )

    def training_batches(
        self, x: np.ndarray, y: np.ndarray, *, progress: Progress | None = None
    ) -> tuple[Stream, int]:
        """What `harden` trains on: the images themselves, unless a method makes more of them.

        Returns:
            The stream, in one of the forms above, and the rows of an epoch.
        """
        del progress
        size, extra = self.settings.optimizer.batch_size, self.settings.extra_data
        if extra.path:
            labelled = extra.labelled(self.classifier, x.shape[1:])
            return extra.mixed((x, y), labelled, size, self.seed)
        return (lambda step: batches((x, y), size, seed=self.seed, start_step=step)), len(x)

    def measure(self, x: np.ndarray, y: np.ndarray) -> dict[str, object]:
        """Numbers of the method's own on test data, for the card; none by default."""
        del x, y
        return {}

    def figures(
        self, x: np.ndarray, y: np.ndarray, metrics: dict[str, object], class_names: Sequence[str]
    ) -> dict[str, Figure]:
        """Figures of the method's own, by file name without suffix; none by default.

        Args:
            x, y: test images and labels. metrics: what `measure` returned for them.
            class_names: K names.
        """
        del x, y, metrics, class_names
        return {}
