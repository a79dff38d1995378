"""What LADDER's tables are measured on: data sets, budgets, defences and attacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

ADVERSARIES = ("FGSM", "JSMA", "PGD", "CW", "Song")  # those that have a row "... adv."


@dataclasses.dataclass(frozen=True)
class Size:
    """How much work goes into the tables.

    Args:
        seeds: how many classifiers each row is the mean of.
        preset: of TRADES and the vanilla classifier; the others are as in the paper, but
            for `defence`.
        defence: settings on top, for every defence that trains on a fixed set.
        trades: settings of the row TRADES, which fine-tunes on all training images.
        gan: preset of Song et al.'s GAN. gan_settings: on top of it.
        attacked: first test images that the transfer sets are made from.
        slow: first test images for AutoAttack and the white-box table.
        cw, song: settings of these two attacks, as text.
    """

    seeds: int
    preset: str
    defence: Mapping[str, Any]
    trades: Mapping[str, Any]
    gan: str
    attacked: int
    slow: int
    cw: str
    song: str
    gan_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


QUICK = Size(
    seeds=1,
    preset="quick",
    defence={"examples_per_class": 150, "epochs": 60},
    trades={"eps": "0.3", "epochs": 2, "decay_epochs": (1,)},
    gan="quick",
    attacked=1000,
    slow=128,
    cw="steps=100,search_steps=4",
    song="steps=60",
)
PAPER = Size(
    seeds=3,
    preset="paper",
    defence={},
    trades={"eps": "0.3"},
    gan="paper",
    attacked=4500,
    slow=1000,
    cw="steps=1000,search_steps=9",
    song="steps=1000",
)
SIZES = {"quick": QUICK, "paper": PAPER}


@dataclasses.dataclass(frozen=True)
class Scene:
    """What is particular to a data set.

    Args:
        data, model: registered names.
        table: number of the paper's table.
        gan_generator: whether the row LADDER-GAN is there, in place of the two ablations.
        eps: strengths of Figure 9.
        search: strengths among which Tables 8 and 9 find theirs.
        counts: numbers of examples of Figure 8; none leaves it out.
    """

    data: str
    model: str
    table: int
    gan_generator: bool = False
    eps: tuple[float, ...] = (0.1, 2.0, 5.0, 7.0, 10.0, 15.0, 20.0)
    search: tuple[float, ...] = (5.0, 7.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0)
    counts: tuple[int, ...] = ()


MNIST = Scene("mnist", "lenet", 2)
SVHN = Scene("svhn", "svhnnet", 1)
CELEBA = Scene(
    "celeba",
    "celebanet",
    3,
    gan_generator=True,
    counts=(100, 200, 400, 800, 1200, 1600, 2000),
)
CIFAR10 = Scene("cifar10", "cifarnet", 4, gan_generator=True)
SCENES = {scene.data: scene for scene in (MNIST, SVHN, CELEBA, CIFAR10)}


def rows_of(scene: Scene) -> list[str]:
    """Rows of the transfer table, in the paper's order; vanilla first."""
    ours = ["LADDER-GAN"] if scene.gan_generator else ["LADDER cavRandom", "LADDER Random"]
    return ["Vanilla", *(f"{name} adv." for name in ADVERSARIES), *ours, "LADDER"]


def published() -> dict[str, Any]:
    """The numbers printed in the paper, percent; see `published/ladder.yaml`."""
    path = resources.files("atk_latent.reproduction") / "published" / "ladder.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def attacks(size: Size, gan: str) -> dict[str, str]:
    """The columns of Tables 1 to 5: name to attack.

    The radius of the paper's AutoAttack is not printed; `AutoAttack 8/255` has the default of
    its authors' command line, 8/255, beside the 0.3 of the other two.
    """
    return {
        "FGSM": "fgsm:eps=0.3",
        "JSMA": "jsma",
        "PGD": "pgd:eps=0.3,steps=40,step_size=0.01",
        "CW": f"cw-l2:random_target=true,{size.cw}",
        "Song": f"song:gan={gan},{size.song}",
        "AutoAttack": "autoattack:eps=0.3",
        "AutoAttack 8/255": "autoattack:eps=8/255",
    }
