"""AutoAttack: four attacks in a row, each on what the ones before it left standing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from atk_latent.adversaries.balls import BALLS
from atk_latent.adversaries.base import Adversary, Classifier, fixed_batch, inference
from atk_latent.adversaries.gradients import ZeroGradientWarning, zero_gradients
from atk_latent.adversaries.names import make_adversary
from atk_latent.adversaries.settings import read_settings
from atk_latent.atomic import atomic_file, check_parent, write_json
from atk_latent.config import check_range
from atk_latent.errors import InputError
from atk_latent.labels import label_tensor
from atk_latent.models.fingerprint import fingerprint
from atk_latent.results import diagnostics as results
from atk_latent.results.diagnostics import Diagnostics

Progress = Callable[[str, int, int], None]
VERSIONS: dict[str, tuple[tuple[str, dict[str, int]], ...]] = {
    "standard": (("apgd-ce", {}), ("apgd-t", {}), ("fab-t", {}), ("square", {})),
    "plus": (
        ("apgd-ce", {"restarts": 5}),
        ("apgd-dlr", {"restarts": 5}),
        ("fab", {"restarts": 5}),
        ("square", {}),
        ("apgd-t", {}),
        ("fab-t", {}),
    ),
    "rand": (("apgd-ce", {}), ("apgd-dlr", {})),
}
SQUARE_GAIN = 0.002  # of all images: more that only Square finds speaks of masked gradients
_SAME_LOGITS = 1e-4  # largest difference of two passes, of the largest logit
_SLACK = 1e-5


@dataclasses.dataclass(frozen=True)
class AutoAttackSettings:
    """Which attacks run, and how far.

    Args:
        eps: number >= 0, radius of the ball in the units of `bounds`.
        norm: "linf" or "l2".
        version: "standard", "plus" (more of everything), or "rand" for a classifier that
            answers at random.
        steps: int >= 1, iterations of each APGD and FAB run.
        targets: int >= 1, classes that apgd-t and fab-t aim at, K - 1 at most.
        queries: int >= 1, of Square.
        eot: int >= 1, passes averaged at each step of version "rand", and to judge its
            images; the others take one.
        bounds: (low, high), the legal pixel range.

    Raises:
        InputError: for values out of range.
    """

    eps: float = 8 / 255
    norm: Literal["linf", "l2"] = "linf"
    version: Literal["standard", "plus", "rand"] = "standard"
    steps: int = 100
    targets: int = 9
    queries: int = 5000
    eot: int = 20
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        read_settings(self, eps=(0,), steps=(1,), targets=(1,), queries=(1,), eot=(1,))
        BALLS[self.norm](self.eps, self.bounds)  # checks the bounds

    @property
    def draws(self) -> int:
        """Passes averaged at each step: `eot` of version "rand", else 1."""
        return self.eot if self.version == "rand" else 1


class Component(NamedTuple):
    """One attack of the cascade: its name and its settings, as `make_adversary` takes them."""

    name: str
    settings: dict[str, Any]


def plan(settings: AutoAttackSettings, classes: int) -> tuple[list[Component], list[str]]:
    """The attacks for a classifier of K classes, in order, and what was changed and why.

    Args:
        settings: see `AutoAttackSettings`. classes: int >= 2.

    Reference: Croce and Hein, ICML 2020, and their code (order, restarts, targets).
    Differs: their DLR losses need K >= 3 and K >= 4, so with two classes apgd-dlr and apgd-t
        are left out (cross-entropy climbs the same logit difference there), and with three
        apgd-dlr stands in for apgd-t; never more than K - 1 targets.
    """
    shared = {"eps": settings.eps, "norm": settings.norm, "bounds": settings.bounds}
    targets = min(settings.targets, classes - 1)
    own: dict[str, dict[str, Any]] = {
        "apgd-ce": {"steps": settings.steps, "eot": settings.draws},
        "apgd-dlr": {"steps": settings.steps, "eot": settings.draws},
        "apgd-t": {"steps": settings.steps, "targets": targets},
        "fab": {"steps": settings.steps},
        "fab-t": {"steps": settings.steps, "targets": targets},
        "square": {"queries": settings.queries},
    }
    found: list[Component] = []
    notes = []
    names = [name for name, _ in VERSIONS[settings.version]]
    for name, extra in VERSIONS[settings.version]:
        if name == "apgd-t" and classes == 3 and "apgd-dlr" not in names:
            notes.append("apgd-dlr for apgd-t: the targeted DLR loss needs 4 classes, not 3")
            name = "apgd-dlr"
        elif classes < {"apgd-dlr": 3, "apgd-t": 4}.get(name, 2):
            least = {"apgd-dlr": 3, "apgd-t": 4}[name]
            notes.append(f"without {name}: its DLR loss needs {least} classes, not {classes}")
            continue
        found.append(Component(name, {**shared, **own[name], **extra}))
    if targets < settings.targets and any("targets" in part.settings for part in found):
        notes.append(f"{targets} targets, not {settings.targets}: there are {classes} classes")
    return found, notes


@dataclasses.dataclass(frozen=True)
class AutoAttackResult:
    """What is left standing.

    Args:
        x_adv: float32 (n, H, W, C): a misclassified image of each that fell, the clean image
            of each that did not or was wrong from the start.
        robust: bool (n,), right from the start and after every attack.
        clean_accuracy, robust_accuracy: shares of all n images.
        components: one record for each attack, in order.
        notes: where the attacks are not those of the version, and why.
        warnings: reasons to doubt the number.
    """

    x_adv: np.ndarray
    robust: np.ndarray
    clean_accuracy: float
    robust_accuracy: float
    components: tuple[results.Component, ...]
    notes: list[str]
    warnings: list[str]

    def diagnostics(self) -> Diagnostics:
        """What results keep of it: the components, notes and warnings."""
        return Diagnostics(components=self.components, warnings=(*self.notes, *self.warnings))


class AutoAttack:
    """Runs the attacks of `plan` in a row and counts the images that survive them all.

    Each attack sees only the images that are still robust, and starts from the clean ones.
    Whatever it hands back is judged by the classifier again.

    Args:
        settings: see `AutoAttackSettings`; None takes its defaults.
        seed: int >= 0; the same seed, batch size and data give the same result.
        batch_size: int >= 1, images at once.

    Reference: Croce and Hein, ICML 2020.
    Differs: see `plan`, `APGD`, `FAB` and `Square`; the images of version "rand" are judged
        by mean logits, in their code by one pass; random numbers belong to an image's place
        in its batch, theirs to one stream.
    """

    def __init__(
        self,
        settings: AutoAttackSettings | None = None,
        *,
        seed: int = 0,
        batch_size: int = 256,
    ) -> None:
        check_range("seed", seed, 0)
        check_range("batch_size", batch_size, 1)
        self.settings = settings or AutoAttackSettings()
        self.seed, self.batch_size = seed, batch_size
        self._adversaries: dict[str, Adversary] = {}  # they keep what they compiled

    def run(
        self,
        classifier: Classifier,
        x: np.ndarray,
        y: np.ndarray,
        *,
        folder: str | Path | None = None,
        on_progress: Progress | None = None,
    ) -> AutoAttackResult:
        """Attacks `x` and says what is left.

        Args:
            classifier: Keras model, or function of images, to logits (B, K >= 2).
            x: floating (n >= 1, H, W, C) inside the bounds.
            y: true labels, integer (n,) or one-hot (n, K).
            folder: where every finished batch is kept, so that a killed run goes on from it:
                call again with the same arguments. It is made if it is absent.
            on_progress: called with (attack, its images done, its images in all).

        Raises:
            InputError: for images, labels or logits that cannot be attacked, or a folder of
                another run.
            RuntimeError: if an attack leaves the ball or the bounds: a bug, not a finding.
        """
        x, y = self._checked(x, y)
        judge = _Judge(classifier, x.shape[1:], self.settings.draws, self.batch_size)
        logits = judge(x)
        if not np.isfinite(logits).all():
            raise InputError("the logits of the clean images must be finite; some are not")
        components, notes = plan(self.settings, logits.shape[1])
        right = logits.argmax(axis=1) == y
        doubts = self._doubts(classifier, judge, x[right], y[right], logits)
        log = _Log(folder, lambda: self._fingerprint(classifier, x, y, logits))
        x_adv, robust, records = x.copy(), right.copy(), []
        for index, component in enumerate(components):
            rows, seconds, done = np.flatnonzero(robust), 0.0, 0
            batches = self._batches(classifier, judge, component, index, x[rows], y[rows], log)
            for found in batches:
                here = rows[done : done + len(found.fooled)]
                x_adv[here[found.fooled]] = found.x_adv
                robust[here[found.fooled]] = False
                done, seconds = done + len(here), seconds + found.seconds
                if on_progress:
                    on_progress(component.name, done, len(rows))
            left = float(robust.mean())
            spent = [len(rows) * passes for passes in _passes(component, logits.shape[1])]
            forward, backward = spent
            records.append(
                results.Component(
                    name=component.name,
                    settings=component.settings,
                    n_in=len(rows),
                    robust_accuracy=left,
                    seconds=seconds,
                    forward=forward,
                    backward=backward,
                )
            )
            gain = (len(rows) - robust.sum()) / len(x)
            if component.name == "square" and gain > SQUARE_GAIN:
                doubts.append(
                    f"Square, without gradients, took {100 * gain:.1f} points that the attacks "
                    "before it did not: gradients may be masked"
                )
        return AutoAttackResult(
            x_adv, robust, float(right.mean()), float(robust.mean()), tuple(records), notes, doubts
        )

    def _batches(
        self,
        classifier: Classifier,
        judge: _Judge,
        component: Component,
        index: int,
        x: np.ndarray,
        y: np.ndarray,
        log: _Log,
    ) -> Iterator[_Batch]:
        """What one attack does to its images, batch by batch; finished ones from the log."""
        if str(component) not in self._adversaries:
            self._adversaries[str(component)] = make_adversary(component[0], **component.settings)
        adversary = self._adversaries[str(component)]
        for start in range(0, len(x), self.batch_size):
            images, labels = (part[start : start + self.batch_size] for part in (x, y))
            name = f"{index}-{component.name}-{start}"
            found = log.read(name)
            if found is None:
                found = self._attacked(classifier, judge, adversary, images, labels, name)
                log.write(name, found)
            yield found

    def _attacked(
        self,
        classifier: Classifier,
        judge: _Judge,
        adversary: Adversary,
        x: np.ndarray,
        y: np.ndarray,
        name: str,
    ) -> _Batch:
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ZeroGradientWarning)  # the result says it
            found = adversary.craft_all(
                classifier, x, y, batch_size=self.batch_size, seed=_seed_of(self.seed, name)
            )
        low, high = self.settings.bounds
        order = {"linf": np.inf, "l2": 2}[self.settings.norm]
        change = np.linalg.norm((found - x).reshape(len(x), -1).astype(np.float64), order, axis=1)
        # a NaN is no comparison's friend: ask what must hold, not what must not
        if not (change.max() <= self.settings.eps + _SLACK):
            raise RuntimeError(f"{name}: a change of {change.max():.6g} left the ball")
        if not (low - _SLACK <= found.min() and found.max() <= high + _SLACK):
            raise RuntimeError(f"{name}: pixels from {found.min():.6g} to {found.max():.6g}")
        fooled = judge(found).argmax(axis=1) != y
        return _Batch(fooled, found[fooled], time.perf_counter() - began)

    def _checked(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = np.asarray(x, np.float32), label_tensor(y).numpy()
        low, high = self.settings.bounds
        if len(x) == 0 or len(x) != len(y):
            raise InputError(
                "images and labels must be as many, at least 1. "
                f"Received: {len(x)} images and {len(y)} labels"
            )
        if not (low <= x.min() and x.max() <= high):
            raise InputError(
                f"pixels must be in [{low:g}, {high:g}], the setting 'bounds'. "
                f"Received: {x.min():.4g} to {x.max():.4g}"
            )
        return x, y

    def _doubts(
        self,
        classifier: Classifier,
        judge: _Judge,
        x: np.ndarray,
        y: np.ndarray,
        logits: np.ndarray,
    ) -> list[str]:
        """Why the result may overstate robustness, as far as the clean images show it."""
        found = []
        sums, version = logits.sum(axis=1), self.settings.version
        if logits.min() >= 0 and np.abs(sums - 1).max() < 1e-3:
            found.append("the outputs look like probabilities; attacks need logits")
        first = x[: judge.size]
        if not len(first):
            return found
        once, twice = judge.one_pass(first), judge.one_pass(first)
        random = np.abs(once - twice).max() > _SAME_LOGITS * max(np.abs(once).max(), 1e-30)
        if random and version != "rand":
            found.append("the classifier answers at random; use version rand")
        if not random and version == "rand":
            found.append("the classifier does not answer at random; standard is stronger")
        call, labels = inference(classifier), tf.constant(y[: len(first)])
        zeros = int(tf.math.count_nonzero(zero_gradients(call, tf.constant(first), labels)))
        if zeros:
            found.append(f"{zeros} of {len(first)} images have a gradient of exactly zero")
        return found

    def _fingerprint(
        self, classifier: Classifier, x: np.ndarray, y: np.ndarray, logits: np.ndarray
    ) -> str:
        """What the result depends on: settings, data, and the layers and weights of a Keras
        model or, of a function, the classes it gives.
        """
        known = fingerprint(classifier) if isinstance(classifier, keras.Layer) else ""
        about = [dataclasses.asdict(self.settings), self.seed, self.batch_size, x.shape, known]
        digest = hashlib.sha256(json.dumps(about).encode())
        for array in (x, y) if known else (x, y, logits.argmax(axis=1)):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


class _Batch(NamedTuple):
    """One attacked batch: which images fell, bool (m,), what they became, and the time."""

    fooled: np.ndarray
    x_adv: np.ndarray
    seconds: float


class _Judge:
    """The logits of whole arrays, the mean of `draws` passes, in compiled batches."""

    def __init__(
        self, classifier: Classifier, image_shape: tuple[int, ...], draws: int, batch_size: int
    ) -> None:
        self._fixed = fixed_batch(classifier)
        self.size, self.draws = self._fixed or batch_size, draws
        images = tf.TensorSpec([self._fixed, *image_shape], tf.float32)
        call = inference(classifier)
        self._call = tf.function(call, autograph=False, input_signature=[images])

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Float32 (n, K) of float32 (n, H, W, C)."""
        parts = [x[start : start + self.size] for start in range(0, len(x), self.size)]
        return np.concatenate(
            [sum(self.one_pass(part) for _ in range(self.draws)) / self.draws for part in parts]
        )

    def one_pass(self, x: np.ndarray) -> np.ndarray:
        """One draw of the logits of at most one batch."""
        short = self._fixed - len(x) if self._fixed else 0
        padded = np.concatenate([x, np.repeat(x[-1:], short, axis=0)])
        return self._call(tf.constant(padded)).numpy()[: len(x)]


class _Log:
    """The finished batches of a run, one file each; without a folder nothing is kept."""

    def __init__(self, folder: str | Path | None, fingerprint: Callable[[], str]) -> None:
        self.folder = None if folder is None else Path(folder)
        if self.folder is None:
            return
        about = self.folder / "run.json"
        if about.exists():
            known = json.loads(about.read_text(encoding="utf-8")).get("fingerprint")
            if known != fingerprint():
                raise InputError(
                    f"{self.folder} holds a run with other settings, data or weights. "
                    "Choose another folder, or remove it."
                )
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise InputError(f"{self.folder} exists and holds no run. Choose another folder.")
        else:
            check_parent(self.folder, "folder").mkdir(exist_ok=True)
            write_json(about, {"fingerprint": fingerprint()})

    def read(self, name: str) -> _Batch | None:
        """What was written under `name`, None where nothing was."""
        if self.folder is None or not (self.folder / f"{name}.npz").exists():
            return None
        with np.load(self.folder / f"{name}.npz") as stored:
            return _Batch(stored["fooled"], stored["x_adv"], float(stored["seconds"]))

    def write(self, name: str, batch: _Batch) -> None:
        """Keeps a batch, whole or not at all."""
        if self.folder is not None:
            with atomic_file(self.folder / f"{name}.npz") as temporary:
                np.savez(temporary, **batch._asdict())


def _seed_of(seed: int, name: str) -> int:
    """The seed of one batch: int in [0, 2**31), the same on every machine."""
    text = f"{seed} {name}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1


def _passes(component: Component, classes: int) -> tuple[int, int]:
    """Forward and backward passes that an image costs at most, the judging included."""
    settings = component.settings
    runs = settings.get("restarts", 1) * settings.get("targets", 1)
    if component.name == "square":
        return runs * settings["queries"] + 2, 0
    if component.name.startswith("fab"):
        slopes = 1 if component.name == "fab-t" else classes - 1
        return 2 * runs * settings["steps"] + 2, slopes * runs * settings["steps"]
    points, eot = runs * (settings["steps"] + 1), settings.get("eot", 1)
    return (points + 2) * eot, points * eot
