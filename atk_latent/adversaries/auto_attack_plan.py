"""Which attacks AutoAttack runs, in what order and how far."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

from atk_latent.adversaries.balls import BALLS
from atk_latent.adversaries.settings import read_settings

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
    own: dict[str, dict[str, object]] = {
        "apgd-ce": {"steps": settings.steps, "eot": settings.draws},
        "apgd-dlr": {"steps": settings.steps, "eot": settings.draws},
        "apgd-t": {"steps": settings.steps, "targets": targets},
        "fab": {"steps": settings.steps},
        "fab-t": {"steps": settings.steps, "targets": targets},
        "square": {"queries": settings.queries},
    }
    components: list[Component] = []
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
        components.append(Component(name, {**shared, **own[name], **extra}))
    if targets < settings.targets and any("targets" in part.settings for part in components):
        notes.append(f"{targets} targets, not {settings.targets}: there are {classes} classes")
    return components, notes


def passes(component: Component, classes: int) -> tuple[int, int]:
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
