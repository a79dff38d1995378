"""LADDER: latent boundary-guided adversarial training.

Zhou, Tsang and Yin, "Latent boundary-guided adversarial training", Machine Learning 2022.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, cast

import keras
import numpy as np
import tensorflow as tf

from atk_latent.adversaries.latent_boundary import LatentBoundary, PerturbationSettings
from atk_latent.checksums import noted_helper
from atk_latent.config import check_range, updated
from atk_latent.data.streams import Stream, fixed_set_batches
from atk_latent.errors import InputError
from atk_latent.methods.base import Method
from atk_latent.methods.boundaries import BoundarySettings, fit_boundaries
from atk_latent.methods.figures import AccuracyOverEps, EpsStrip, Figure
from atk_latent.methods.fixed_set import FixedSet
from atk_latent.methods.generator_training import GeneratorSettings, fit_generator
from atk_latent.methods.optimizers import Optimizer
from atk_latent.methods.settings import MethodSettings
from atk_latent.models.attention_svm import BOUNDARIES, AttentionSVM, flat_latent_width
from atk_latent.models.generators import generator_for
from atk_latent.models.latent import frozen_copy, split
from atk_latent.models.loading import MODEL_FILE, load_network
from atk_latent.models.scoring import clean_accuracy
from atk_latent.progress import Progress
from atk_latent.registry import GENERATORS

HELPERS = ("boundaries.npz", "generator.keras")  # belong to the vanilla classifier
GENERATOR_STATES = "checkpoint-generator"  # in the helpers, while the generator is trained
BOUNDARY_STATES = "checkpoint-boundaries"  # the same of the boundaries
EPS_TABLE = (0.5, 2.0, 5.0, 7.0, 10.0, 12.0, 15.0, 18.0, 20.0)
EPS_STRIP = (0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 9.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0, 25.0, 30.0)


OFFICIAL_GENERATORS: dict[str, dict[str, str]] = {
    "svhn": {"init": "official"},
    "celeba": {"init": "official"},
    "cifar10": {"init": "official", "output_activation": "tanh"},
}


@dataclasses.dataclass(frozen=True)
class LADDERSettings(MethodSettings):
    """How boundaries and generator are trained, examples decoded and the classifier fine-tuned.

    See `MethodSettings` for the parts that are not listed here.

    Args:
        boundaries: how the attention SVMs are trained.
        generator: how latents are decoded, and how the decoder is trained.
        perturbation: how latents are moved. Its `eps` is a list of sizes, not a radius.
        fixed_set: which images the set is decoded from; `originals` has a meaning for it alone.
        examples: "fixed" decodes one set before training (paper); "fresh" decodes new ones in
            the graph for every batch, over the full training set.
        latent_layer: name of the layer whose output is perturbed; None is the layer called
            `latent`, or the input of the last Dense layer.
        alpha: float in [0, 1], weight of the clean loss (Eq 6).

    Raises:
        InputError: for values that are out of range or do not go together.

    Example:
        >>> from atk_latent.methods import LADDERSettings, Optimizer
        >>> settings = LADDERSettings(optimizer=Optimizer(epochs=12), examples="fresh")
        >>> settings.perturbation.eps[:3]
        (0.5, 2.0, 5.0)
    """

    optimizer: Optimizer = Optimizer(epochs=100)
    boundaries: BoundarySettings = BoundarySettings()
    generator: GeneratorSettings = GeneratorSettings()
    perturbation: PerturbationSettings = PerturbationSettings(eps=EPS_TABLE)
    fixed_set: FixedSet = FixedSet()
    examples: Literal["fixed", "fresh"] = "fixed"
    latent_layer: str | None = None
    alpha: float = 0.5

    def __post_init__(self) -> None:
        """Refuses what does not go together."""
        super().__post_init__()
        check_range("alpha", self.alpha, 0, 1)
        if self.examples == "fixed":
            self.extra_data.refuse()


class LADDER(Method):
    """Adversarial training on images decoded from latents moved across a boundary.

    `prepare` trains the attention SVMs and the generator on the latents of the classifier
    as it came; `harden` fine-tunes the classifier on examples they make. In between, or
    instead of `harden`, ``compile`` and ``fit(x, y)`` work as on any Keras model and make
    fresh examples in the graph for every batch.

    Args:
        classifier: a trained Keras model, images (B, H, W, C) in [0, 1] to logits (B, K).
        settings: see `LADDERSettings`.
        seed: boundaries, generator, targets and the order of the data.

    Raises:
        InputError: if the classifier cannot be cut at the latent layer.

    Reference: LADDER section 3, Eqs 2 to 6, Tables 6 and 10 to 13.
    Differs: see `AttentionSVM` for the scale of eps. Latents are computed in inference mode
        from the vanilla weights throughout, as in the published code.

    Example:
        >>> import keras
        >>> from atk_latent.methods import LADDER, LADDERSettings, Optimizer
        >>> layers = [keras.layers.Flatten(), keras.layers.Dense(8), keras.layers.Dense(2)]
        >>> classifier = keras.Sequential([keras.Input((28, 28, 1)), *layers])
        >>> method = LADDER(classifier, LADDERSettings(optimizer=Optimizer(epochs=5)))
        >>> method.latent_width, method.num_classes  # then prepare(x, y) and harden(x, y)
        (8, 2)
    """

    settings_type: ClassVar[type[LADDERSettings]] = LADDERSettings
    starts_from: ClassVar[Literal["scratch", "vanilla"]] = "vanilla"
    settings: LADDERSettings

    def __init__(
        self, classifier: keras.Model, settings: LADDERSettings | None = None, *, seed: int = 0
    ) -> None:
        settings = settings or self.settings_type()
        super().__init__(classifier, settings, seed=seed, alpha=settings.alpha)
        self.vanilla = frozen_copy(self.classifier)
        self.features, self.head = split(self.vanilla, settings.latent_layer)
        self.latent_width = flat_latent_width(self.features)
        self.num_classes = int(self.classifier.output_shape[-1])
        self.image_shape = tuple(self.classifier.input_shape[1:])
        self.generator: keras.Model | None = None
        self.boundaries: AttentionSVM | None = None
        self.findings: dict[str, dict[str, int]] = {}

    def adversary(
        self, *, seed: int | keras.random.SeedGenerator | None = None, **changes: object
    ) -> LatentBoundary:
        """The adversary these helpers make.

        Args:
            seed: its own; None shares the random state that is saved with the method.
            **changes: perturbation settings that differ from the method's.

        Raises:
            InputError: before `prepare`.
        """
        generator, boundaries = self._prepared()
        return LatentBoundary(
            features=self.features,
            head=self.head,
            generator=generator,
            boundaries=boundaries,
            settings=updated(self.settings.perturbation, changes),
            seed=self.seeds if seed is None else seed,
        )

    def _prepared(self) -> tuple[keras.Model, AttentionSVM]:
        if self.boundaries is None or self.generator is None:
            raise InputError("LADDER must be prepared first: call prepare(x, y)")
        return self.generator, self.boundaries

    def perturb(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Fresh LADDER examples of a batch."""
        labels = tf.argmax(y, axis=-1) if len(y.shape) == 2 and y.shape[-1] != 1 else y
        return self.adversary().craft(x, tf.reshape(labels, (-1,))).x_adv

    def prepare(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Trains boundaries and generator, or loads them from `folder`; see `Method.prepare`."""
        latents = self._latents(x)
        self.boundaries = self._boundaries(latents, y, folder, progress)
        self.generator = self._generator(latents, x, folder, progress)
        self.generator.trainable = False

    def _latents(self, x: np.ndarray) -> np.ndarray:
        """Latents of images, float32 (n, N) whatever the precision of the classifier."""
        return np.asarray(self.features.predict(x, batch_size=500, verbose=0), np.float32)

    def _boundaries(
        self, latents: np.ndarray, y: np.ndarray, folder: Path | None, progress: Progress | None
    ) -> AttentionSVM:
        path = folder / "boundaries.npz" if folder else None
        if path and path.exists():
            return self._stored_boundaries(path)

        def tick(done: int, total: int) -> None:
            if progress:
                progress("boundaries", done, total, {})

        trained = fit_boundaries(
            latents,
            y,
            self.num_classes,
            self.settings.boundaries,
            seed=self.seed,
            checkpoint=folder / BOUNDARY_STATES if folder else None,
            on_epoch=tick,
        )
        if path:
            with noted_helper(path) as part:
                trained.save(part)
            shutil.rmtree(path.parent / BOUNDARY_STATES, ignore_errors=True)
        return trained

    def _generator(
        self, latents: np.ndarray, x: np.ndarray, folder: Path | None, progress: Progress | None
    ) -> keras.Model:
        path = folder / "generator.keras" if folder else None
        if path and path.exists():
            return self._stored_generator(path)
        settings = self.settings.generator
        name = generator_for(self.image_shape) if settings.name == "auto" else settings.name
        official = settings.style == "official"
        options = OFFICIAL_GENERATORS.get(name, {}) if official else {}
        generator = GENERATORS[name](self.latent_width, self.image_shape, seed=self.seed, **options)
        fit_generator(
            generator,
            latents,
            x,
            settings,
            seed=self.seed,
            checkpoint=folder / GENERATOR_STATES if folder else None,
            progress=progress,
        )
        if path:
            with noted_helper(path) as part:
                generator.save(part)
        return generator

    def _stored_boundaries(self, path: Path) -> AttentionSVM:
        stored = AttentionSVM.load(path)
        ours, theirs = (self.latent_width, self.num_classes), (stored.width, stored.num_classes)
        if ours != theirs:
            problem = "is of another classifier: its (latent width, classes) are"
            raise BOUNDARIES.wrong(path, f"{problem} {theirs}, not {ours}")
        return stored

    def _stored_generator(self, path: Path) -> keras.Model:
        stored = load_network(path)
        ours = ((None, self.latent_width), (None, *self.image_shape))
        theirs = (stored.input_shape, stored.output_shape)
        if ours != theirs:
            problem = "is of another classifier: it takes and gives"
            raise MODEL_FILE.wrong(path, f"{problem} {theirs}, not {ours}")
        return stored

    def load_helpers(self, folder: Path) -> None:
        """Takes boundaries and generator from the `helpers/` of a finished run.

        Raises:
            InputError: if they are not there or do not fit the classifier.
        """
        path = folder / "generator.keras"
        if not path.exists():
            raise InputError(f"{path} does not exist; run `atkl harden --method ladder` first")
        self.boundaries = self._stored_boundaries(folder / "boundaries.npz")
        self.generator = self._stored_generator(path)
        self.adversary()

    def make_examples(
        self, x: np.ndarray, y: np.ndarray, *, progress: Progress | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The fixed set: originals, examples and labels of `examples_per_class` images.

        How many crossed the boundary in latent space and as images (Eq 5) is noted in
        `findings`.

        Returns:
            x (n, H, W, C), x_adv (n, H, W, C), both float32 in [0, 1], and y (n,).
        """
        rows = self.settings.fixed_set.rows(y, self.num_classes, self.seed)
        x, y = x[rows], y[rows]

        def tick(done: int, total: int) -> None:
            if progress:
                progress("examples", done, total, {})

        examples = self.adversary(seed=self.seed).craft_all(x, y, on_batch=tick)
        self.findings["label_rule"] = label_rule_counts(examples)
        return x, examples["x_adv"], y

    def training_batches(
        self, x: np.ndarray, y: np.ndarray, *, progress: Progress | None = None
    ) -> tuple[Stream, int]:
        """Eq 6's data: clean images for fresh examples, or the fixed set; see `Method`."""
        if self.settings.examples == "fresh":
            return super().training_batches(x, y, progress=progress)
        return fixed_set_batches(
            self.make_examples(x, y, progress=progress),
            (x, y) if self.settings.fixed_set.originals == "full" else None,
            self.settings.optimizer.batch_size,
            seed=self.seed,
        )

    def measure(self, x: np.ndarray, y: np.ndarray) -> dict[str, object]:
        """Generator error, boundary accuracies and accuracy over eps on test images.

        The table is the protocol behind the paper's Table 8: one set of examples per eps,
        made from test images against the vanilla model with one random target each (the same
        for every eps), scored by both classifiers. It is white-box for the vanilla model and
        a transfer attack on the hardened one.

        Args:
            x: float32 (n, H, W, C) in [0, 1]; y: int64 (n,).
        """
        generator, boundaries = self._prepared()
        decoded = generator.predict(self._latents(x), batch_size=500, verbose=0)
        adversary = self.adversary(seed=self.seed + 1)
        target = np.asarray(adversary.draw_targets(tf.constant(y, tf.int32)))
        table = []
        for eps in EPS_TABLE:
            examples = adversary.craft_all(x, y, target=target, eps=eps)
            table.append(
                {
                    "eps": eps,
                    "vanilla": clean_accuracy(self.vanilla, examples["x_adv"], y).value,
                    "hardened": clean_accuracy(self.classifier, examples["x_adv"], y).value,
                    "latent_crossed": float(np.mean(examples["latent_crossed"])),
                }
            )
        low = next((row for row in table if row["vanilla"] <= 0.8), table[-1])
        return {
            "generator_test_mse": float(np.mean(np.square(decoded - x))),
            "reconstruction_vanilla_accuracy": clean_accuracy(self.vanilla, decoded, y).value,
            "boundary_accuracy_mean": float(np.mean(boundaries.accuracies)),
            "boundary_accuracy_min": float(np.min(boundaries.accuracies)),
            "ladder_examples_eps": low["eps"],
            "ladder_examples_vanilla_accuracy": low["vanilla"],
            "ladder_examples_accuracy": low["hardened"],
            "accuracy_over_eps": table,
            **self.findings,
        }

    def figures(
        self, x: np.ndarray, y: np.ndarray, metrics: dict[str, object], class_names: Sequence[str]
    ) -> dict[str, Figure]:
        """Examples over eps, and accuracy over eps; see `Method.figures`."""
        rows = cast(list[dict[str, float]], metrics["accuracy_over_eps"])
        eps, vanilla, hardened = (
            [row[name] for row in rows] for name in ("eps", "vanilla", "hardened")
        )
        return {
            "ladder_strip": self.strip(x, y, class_names),
            "accuracy_over_eps": AccuracyOverEps(eps, vanilla, hardened),
        }

    def strip(
        self, x: np.ndarray, y: np.ndarray, class_names: Sequence[str], count: int = 10
    ) -> EpsStrip:
        """Images for the figure: originals, reconstructions and examples over eps.

        Args:
            x: float32 (n, H, W, C); y: int64 (n,). The first `count` images with different
                labels are drawn (repeating labels where there are fewer classes).
            class_names: K names.
        """
        firsts = [np.flatnonzero(y == label)[:count] for label in np.unique(y)]
        by_turn = [rows[i] for i in range(count) for rows in firsts if i < len(rows)]
        rows = np.array(by_turn[:count])
        x, y = x[rows], y[rows]
        z = tf.cast(self.features(x, training=False), tf.float32)
        adversary = self.adversary(seed=self.seed + 2)
        target = adversary.draw_targets(tf.constant(y, tf.int32))
        move = adversary.move(z, tf.constant(y, tf.int32), target)
        images = np.stack([adversary.decode(z + eps * move) for eps in EPS_STRIP], axis=1)
        flat = images.reshape(-1, *x.shape[1:])

        def labels(model: keras.Model) -> np.ndarray:
            return np.reshape(np.argmax(model.predict(flat, verbose=0), axis=1), (len(x), -1))

        return EpsStrip(
            original=x,
            reconstruction=np.asarray(adversary.decode(z)),
            adversarial=images,
            eps=np.array(EPS_STRIP),
            label=y,
            target=np.asarray(target),
            vanilla=labels(self.vanilla),
            hardened=labels(self.classifier),
            class_names=class_names,
        )


@dataclasses.dataclass(frozen=True)
class LADDERCavRandomSettings(LADDERSettings):
    """As `LADDERSettings`, with noise on the normals where nothing else is set.

    Example:
        >>> from atk_latent.methods import LADDERCavRandomSettings
        >>> LADDERCavRandomSettings().perturbation.noise
        'cavrandom'
    """

    perturbation: PerturbationSettings = PerturbationSettings(EPS_TABLE, noise="cavrandom")


class LADDERCavRandom(LADDER):
    """LADDER with Gaussian noise added to the normals (section 4.1.2, ablation).

    Example:
        >>> from atk_latent.methods import LADDERCavRandom
        >>> LADDERCavRandom.settings_for("lenet", "mnist", "paper", {}).perturbation.noise
        'cavrandom'
    """

    settings_type: ClassVar[type[LADDERSettings]] = LADDERCavRandomSettings


@dataclasses.dataclass(frozen=True)
class LADDERRandomSettings(LADDERSettings):
    """As `LADDERSettings`, with noise for the normals where nothing else is set.

    Example:
        >>> from atk_latent.methods import LADDERRandomSettings
        >>> LADDERRandomSettings().perturbation.noise
        'random'
    """

    perturbation: PerturbationSettings = PerturbationSettings(EPS_TABLE, noise="random")


class LADDERRandom(LADDER):
    """LADDER along Gaussian directions instead of normals (section 4.1.2, ablation).

    The attention of the pair still weights the direction, as Eq 3 has it.

    Example:
        >>> from atk_latent.methods import LADDERRandom
        >>> LADDERRandom.settings_for("lenet", "mnist", "paper", {}).perturbation.noise
        'random'
    """

    settings_type: ClassVar[type[LADDERSettings]] = LADDERRandomSettings


@dataclasses.dataclass(frozen=True)
class LADDERGANSettings(LADDERSettings):
    """As `LADDERSettings`, with an adversarially trained generator where nothing else is set.

    Example:
        >>> from atk_latent.methods import LADDERGANSettings
        >>> LADDERGANSettings().generator.gan
        'replace'
    """

    generator: GeneratorSettings = GeneratorSettings(gan="replace")


class LADDERGAN(LADDER):
    """LADDER whose generator is trained against a discriminator (section 4.3).

    The paper replaces the reconstruction loss; `gan=add` adds to it, as the published code.

    Example:
        >>> from atk_latent.methods import LADDERGAN
        >>> LADDERGAN.settings_for("lenet", "mnist", "official", {}).generator.gan
        'add'
    """

    settings_type: ClassVar[type[LADDERSettings]] = LADDERGANSettings


def label_rule_counts(examples: dict[str, np.ndarray]) -> dict[str, int]:
    """How examples stand to Eq 5, from what `LatentBoundary.craft_all` returns."""
    latent, image = examples["latent_crossed"], examples["image_crossed"]
    return {
        "examples": int(len(latent)),
        "neither_crossed": int(np.sum(~latent & ~image)),
        "latent_crossed_only": int(np.sum(latent & ~image)),
        "image_crossed_only": int(np.sum(~latent & image)),
        "both_crossed": int(np.sum(latent & image)),
    }
