"""Every name a user can type, and the object it stands for.

Adding a data set, a model, a method or an attack is one file and one line here.
Objects are named by import path and imported when asked for, so listing the names
(``atkl list``, ``atkl --help``) never imports TensorFlow.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from atk_latent.errors import InputError


class Entry(NamedTuple):
    """One registered object.

    Args:
        target: ``"package.module:attribute"``.
        summary: one line for `atkl list`.
    """

    target: str
    summary: str


class Registry(Mapping[str, Any]):
    """Names to lazily imported objects.

    Args:
        kind: what the names are, for messages ("method", "data set").
        entries: name -> Entry.

    Raises:
        InputError: on a name that is not there, with the nearest name and all names.
    """

    def __init__(self, kind: str, entries: dict[str, Entry]) -> None:
        self.kind = kind
        self._entries = entries

    def entry(self, name: str) -> Entry:
        """The entry of `name`, without importing what it points to."""
        if name not in self._entries:
            near = difflib.get_close_matches(name.lower(), self._entries, n=1)
            hint = f"Did you mean '{near[0]}'? " if near else ""
            raise InputError(
                f"unknown {self.kind} '{name}'. {hint}Known: {', '.join(self._entries)}"
            )
        return self._entries[name]

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = self.entry(name).target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


DATA = Registry(
    "data set",
    {
        "digits": Entry(
            "atk_latent.data.digits:load",
            "1,797 handwritten digits of scikit-learn at 28x28; needs no network",
        ),
        "mnist": Entry("atk_latent.data.mnist:load_mnist", "handwritten digits, 28x28, 10 classes"),
        "fashion_mnist": Entry(
            "atk_latent.data.mnist:load_fashion_mnist", "clothing, 28x28, 10 classes"
        ),
        "cifar10": Entry("atk_latent.data.cifar:load_cifar10", "objects, 32x32x3, 10 classes"),
        "cifar100": Entry("atk_latent.data.cifar:load_cifar100", "objects, 32x32x3, 100 classes"),
        "svhn": Entry(
            "atk_latent.data.svhn:load", "street-view house numbers, 32x32x3, 10 classes"
        ),
        "celeba": Entry("atk_latent.data.celeba:load", "faces, smile or not, 128x128x3, 2 classes"),
    },
)

MODELS = Registry(
    "model",
    {
        "lenet": Entry("atk_latent.models.lenet:lenet", "LeNet, 431,080 parameters at 28x28x1"),
        "svhnnet": Entry("atk_latent.models.vgg:svhnnet", "VGG8 with batch norm, 21.8 M"),
        "celebanet": Entry("atk_latent.models.vgg:celebanet", "VGG11 with batch norm, 51.2 M"),
        "cifarnet": Entry("atk_latent.models.resnet:cifarnet", "ResNet-18 for 32x32, 11.2 M"),
    },
)

GENERATORS = Registry(
    "generator",
    {
        "mnist": Entry("atk_latent.models.generators:mnist_generator", "LADDER Table 10, 28x28x1"),
        "svhn": Entry("atk_latent.models.generators:svhn_generator", "LADDER Table 11, 32x32x3"),
        "celeba": Entry(
            "atk_latent.models.generators:celeba_generator", "LADDER Table 12, 128x128"
        ),
        "cifar10": Entry(
            "atk_latent.models.generators:cifar_generator", "LADDER Table 13, any size"
        ),
    },
)

METHODS = Registry(
    "method",
    {
        "ladder": Entry(
            "atk_latent.methods.ladder:LADDER",
            "fine-tunes on images decoded from latents moved along attention-SVM normals",
        ),
        "ladder-cavrandom": Entry(
            "atk_latent.methods.ladder:LADDERCavRandom",
            "LADDER with noise on the normals (ablation)",
        ),
        "ladder-random": Entry(
            "atk_latent.methods.ladder:LADDERRandom", "LADDER along random directions (ablation)"
        ),
        "ladder-gan": Entry(
            "atk_latent.methods.ladder:LADDERGAN", "LADDER with an adversarially trained generator"
        ),
        "natural": Entry(
            "atk_latent.methods.natural:Natural",
            "plain training, the vanilla every table starts from",
        ),
    },
)

ATTACKS = Registry(
    "attack",
    {
        "fgsm": Entry("atk_latent.art_bridge.fast_attacks:fgsm", "one gradient step, Linf or L2"),
        "rs-fgsm": Entry(
            "atk_latent.art_bridge.fast_attacks:rs_fgsm",
            "one gradient step from a random start, Linf or L2",
        ),
        "pgd": Entry(
            "atk_latent.art_bridge.fast_attacks:pgd",
            "40 gradient steps from a random start, Linf or L2",
        ),
        "bim": Entry(
            "atk_latent.art_bridge.fast_attacks:bim",
            "40 gradient steps from the image itself, Linf or L2",
        ),
        "mim": Entry(
            "atk_latent.art_bridge.fast_attacks:mim",
            "10 gradient steps with momentum, Linf or L2",
        ),
        "cw-pgd": Entry(
            "atk_latent.art_bridge.fast_attacks:cw_pgd",
            "PGD on the margin loss, the papers' CW20/40/100, Linf or L2",
        ),
        "cw-l2": Entry("atk_latent.art_bridge.evasion:cw_l2", "Carlini-Wagner, smallest L2"),
        "cw-linf": Entry(
            "atk_latent.art_bridge.evasion:cw_linf", "Carlini-Wagner, smallest Linf; slow"
        ),
        "jsma": Entry(
            "atk_latent.art_bridge.evasion:jsma", "saliency map, few values, a random target class"
        ),
        "deepfool": Entry("atk_latent.art_bridge.evasion:deepfool", "nearest boundary, L2"),
        "square": Entry(
            "atk_latent.art_bridge.evasion:square", "random squares, sees logits only, Linf"
        ),
        "hopskipjump": Entry(
            "atk_latent.art_bridge.evasion:hopskipjump", "sees predicted classes only; slow"
        ),
        "autoattack": Entry(
            "atk_latent.art_bridge.evasion:autoattack",
            "ART's variant of AutoAttack (not the official suite), Linf; slow",
        ),
        "ladder": Entry(
            "atk_latent.art_bridge.attacks:ladder",
            "latents moved across a boundary and decoded; unbounded in pixels",
        ),
    },
)
