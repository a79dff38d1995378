"""Every name a user can type, and the object it stands for.

Adding a data set, a model, a method or an attack is one file and one line here.
Objects are named by import path and imported when asked for, so listing the names
(``atkl list``, ``atkl --help``) never imports TensorFlow.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from atk_latent.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Entry:
    """One registered object.

    Args:
        target: ``"package.module:attribute"``.
        summary: one line for `atkl list`.
        needs: what it takes to run an experiment: data, time, GPU; "" for all else.
    """

    target: str
    summary: str
    needs: str = ""


@dataclass(frozen=True)
class Attack(Entry):
    """A registered attack, whose target is an `AttackSpec`.

    Args:
        art_class: the name of its ART class in `atk_latent.attacks`, where it has its own.
    """

    art_class: str = ""


E_co = TypeVar("E_co", bound=Entry, covariant=True)


class Registry(Mapping[str, Any], Generic[E_co]):
    """Names to lazily imported objects.

    Args:
        kind: what the names are, for messages ("method", "data set").
        entries: name -> Entry.

    Raises:
        InputError: on a name that is not there, with the nearest name and all names.
    """

    def __init__(self, kind: str, entries: dict[str, E_co]) -> None:
        self.kind = kind
        self._entries = entries

    def entry(self, name: str) -> E_co:
        """The entry of `name`, without importing what it points to."""
        if name not in self._entries:
            hint = did_you_mean(name.lower(), self._entries)
            raise InputError(
                f"unknown {self.kind} '{name}'. {hint}Known: {', '.join(self._entries)}"
            )
        return self._entries[name]

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = self.entry(name).target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def name_of(self, kind: type) -> str:
        """The name under which a class, or else its nearest base class, is registered.

        "" where none of them is.
        """
        names = {entry.target: name for name, entry in self._entries.items()}
        targets = (f"{base.__module__}:{base.__qualname__}" for base in kind.__mro__)
        return next((names[target] for target in targets if target in names), "")

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
        "kmnist": Entry(
            "atk_latent.data.kmnist:load", "cursive Japanese characters, 28x28, 10 classes"
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
        "lenet-bn": Entry("atk_latent.models.lenet:lenet_bn", "LeNet with batch norm, 432,220"),
        "svhnnet": Entry("atk_latent.models.vgg:svhnnet", "VGG8 with batch norm, 21.8 M"),
        "celebanet": Entry("atk_latent.models.vgg:celebanet", "VGG11 with batch norm, 51.2 M"),
        "cifarnet": Entry("atk_latent.models.resnet:cifarnet", "ResNet-18 for 32x32, 11.2 M"),
        "preactresnet18": Entry(
            "atk_latent.models.resnet:preactresnet18", "PreActResNet-18 for 32x32, 11.2 M"
        ),
        "preactresnet18-silu": Entry(
            "atk_latent.models.resnet:preactresnet18_silu", "the same with SiLU"
        ),
        "resnet20": Entry(
            "atk_latent.models.cifar_resnet:resnet20", "He et al.'s ResNet-20 for CIFAR, 0.27 M"
        ),
        "resnet32": Entry("atk_latent.models.cifar_resnet:resnet32", "ResNet-32, 0.46 M"),
        "resnet44": Entry("atk_latent.models.cifar_resnet:resnet44", "ResNet-44, 0.66 M"),
        "resnet56": Entry("atk_latent.models.cifar_resnet:resnet56", "ResNet-56, 0.85 M"),
        "wrn-28-10": Entry("atk_latent.models.wide_resnet:wrn_28_10", "WideResNet-28-10, 36.5 M"),
        "wrn-34-10": Entry("atk_latent.models.wide_resnet:wrn_34_10", "WideResNet-34-10, 46.2 M"),
        "wrn-34-15": Entry("atk_latent.models.wide_resnet:wrn_34_15", "WideResNet-34-15, 103.8 M"),
        "wrn-34-20": Entry("atk_latent.models.wide_resnet:wrn_34_20", "WideResNet-34-20, 184.5 M"),
        "wrn-70-16": Entry("atk_latent.models.wide_resnet:wrn_70_16", "WideResNet-70-16, 266.8 M"),
        "wrn-28-10-silu": Entry(
            "atk_latent.models.wide_resnet:wrn_28_10_silu", "WideResNet-28-10 with SiLU"
        ),
        "wrn-34-10-silu": Entry(
            "atk_latent.models.wide_resnet:wrn_34_10_silu", "WideResNet-34-10 with SiLU"
        ),
        "wrn-16-4": Entry("atk_latent.models.wide_resnet:wrn_16_4", "WideResNet-16-4, 2.7 M"),
        "wrn-10-4": Entry("atk_latent.models.wide_resnet:wrn_10_4", "WideResNet-10-4, 1.2 M"),
        "wrn-10-2": Entry("atk_latent.models.wide_resnet:wrn_10_2", "WideResNet-10-2, 0.3 M"),
        "wrn-10-2-silu": Entry(
            "atk_latent.models.wide_resnet:wrn_10_2_silu", "WideResNet-10-2 with SiLU, 0.3 M"
        ),
        "gowal-wrn-28-10": Entry(
            "atk_latent.models.wide_resnet:gowal_28_10",
            "WideResNet-28-10 of Gowal et al.: SiLU, TensorFlow's padding, CIFAR-10's mean",
        ),
        "gowal-wrn-34-20": Entry(
            "atk_latent.models.wide_resnet:gowal_34_20", "the same as WideResNet-34-20"
        ),
        "gowal-wrn-70-16": Entry(
            "atk_latent.models.wide_resnet:gowal_70_16", "the same as WideResNet-70-16"
        ),
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
        "atld": Entry(
            "atk_latent.methods.atld:ATLD",
            "trains on latent manifold adversarial examples, in a game with a discriminator",
        ),
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
        "feature-scattering": Entry(
            "atk_latent.methods.feature_scattering:FeatureScattering",
            "trains on images whose features were scattered as a batch, without labels",
        ),
        "tla": Entry("atk_latent.methods.tla:TLA", "PGD training with a triplet loss on latents"),
        "lat": Entry(
            "atk_latent.methods.lat:LAT",
            "PGD training, then fine-tuning against attacks on a latent layer too",
        ),
        "bilateral": Entry(
            "atk_latent.methods.bilateral:Bilateral",
            "trains on images of one targeted step, with labels perturbed in closed form",
        ),
        "trades-ladder": Entry(
            "atk_latent.methods.trades:TRADESLADDER", "TRADES' loss on LADDER examples"
        ),
        "pgd": Entry(
            "atk_latent.methods.adversarial:PGDTraining", "PGD adversarial training (Madry)"
        ),
        "fgsm": Entry(
            "atk_latent.methods.adversarial:FGSMTraining",
            "one long step from a random start (fast adversarial training)",
        ),
        "free": Entry(
            "atk_latent.methods.adversarial:FreeTraining",
            "free adversarial training: each batch replayed",
        ),
        "trades": Entry(
            "atk_latent.methods.trades:TRADES", "clean accuracy and agreement in the ball"
        ),
        "mart": Entry(
            "atk_latent.methods.mart:MART", "adversarial training aware of misclassified images"
        ),
        "augment": Entry(
            "atk_latent.methods.augment:AugmentedTraining",
            "fine-tuning on a fixed set made by any attack, as LADDER's baselines",
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
        "fgsm": Attack(
            "atk_latent.adversaries.gradient_ascent:FGSM", "one gradient step, Linf or L2"
        ),
        "rs-fgsm": Attack(
            "atk_latent.adversaries.gradient_ascent:RS_FGSM",
            "one gradient step from a random start, Linf or L2",
        ),
        "pgd": Attack(
            "atk_latent.adversaries.gradient_ascent:PGD",
            "40 gradient steps from a random start, Linf or L2",
            art_class="FastPGD",
        ),
        "bim": Attack(
            "atk_latent.adversaries.gradient_ascent:BIM",
            "40 gradient steps from the image itself, Linf or L2",
        ),
        "mim": Attack(
            "atk_latent.adversaries.gradient_ascent:MIM",
            "10 gradient steps with momentum, Linf or L2",
        ),
        "ni-fgsm": Attack(
            "atk_latent.adversaries.nesterov:NI_FGSM",
            "10 gradient steps with Nesterov's look-ahead, Linf or L2",
            art_class="NIFGSM",
        ),
        "cw-pgd": Attack(
            "atk_latent.adversaries.gradient_ascent:CW_PGD",
            "PGD on the margin loss, the papers' CW20/40/100, Linf or L2",
            art_class="MarginPGD",
        ),
        "apgd-ce": Attack(
            "atk_latent.adversaries.apgd:APGD_CE",
            "gradient steps that adapt, on cross-entropy, Linf or L2",
            art_class="APGD",
        ),
        "apgd-dlr": Attack(
            "atk_latent.adversaries.apgd:APGD_DLR",
            "the same on the logit ratio, Linf or L2; 3 classes or more",
        ),
        "apgd-t": Attack(
            "atk_latent.adversaries.apgd:APGD_T",
            "the same towards 9 classes in turn, Linf or L2; 4 classes or more",
            art_class="APGDTargeted",
        ),
        "fab": Attack(
            "atk_latent.adversaries.fab:FAB",
            "the nearest adversarial image, Linf or L2",
            art_class="FAB",
        ),
        "fab-t": Attack(
            "atk_latent.adversaries.fab:FAB_T",
            "the nearest adversarial image of 9 classes in turn, Linf or L2",
            art_class="FABTargeted",
        ),
        "cw-l2": Attack(
            "atk_latent.adversaries.carlini:CW_L2",
            "Carlini-Wagner, smallest L2; 6 constants of 100 steps (the papers' 9 of 1000)",
            art_class="FastCarliniL2",
        ),
        "cw-linf": Attack(
            "atk_latent.art_bridge.art_attacks:CW_LINF", "Carlini-Wagner, smallest Linf; slow"
        ),
        "jsma": Attack(
            "atk_latent.adversaries.jsma:JSMA",
            "saliency map, few values, a random target class",
            art_class="FastJSMA",
        ),
        "deepfool": Attack("atk_latent.art_bridge.art_attacks:DEEPFOOL", "nearest boundary, L2"),
        "square": Attack(
            "atk_latent.adversaries.square:SQUARE",
            "random squares, sees logits only, Linf or L2",
            art_class="FastSquare",
        ),
        "rays": Attack(
            "atk_latent.adversaries.rays:RAYS",
            "nearest boundary along rays of signs, sees predicted classes only, Linf",
            art_class="RayS",
        ),
        "hopskipjump": Attack(
            "atk_latent.art_bridge.art_attacks:HOPSKIPJUMP", "sees predicted classes only; slow"
        ),
        "autoattack": Attack(
            "atk_latent.adversaries.auto_attack:AUTOATTACK",
            "the official suite: APGD, targeted APGD and FAB, Square, Linf or L2; slow",
            art_class="StandardAutoAttack",
        ),
        "atld-joint": Attack(
            "atk_latent.art_bridge.manifold_attack:JOINT",
            "gradients of classifier and discriminator at once, Linf; needs an ATLD run",
            art_class="ManifoldAttack",
        ),
        "atld-chain": Attack(
            "atk_latent.art_bridge.manifold_attack:CHAIN",
            "steps on the classifier, then one on the discriminator, Linf; needs an ATLD run",
        ),
        "atld-manifold": Attack(
            "atk_latent.art_bridge.manifold_attack:MANIFOLD",
            "steps on the discriminator alone, Linf; needs an ATLD run",
        ),
        "through-imt": Attack(
            "atk_latent.art_bridge.through_imt:THROUGH_IMT",
            "any attack through IMT: through-imt:attack=pgd,backward=identity",
        ),
        "ladder": Attack(
            "atk_latent.art_bridge.ladder_attack:LADDER_ATTACK",
            "latents moved across a boundary and decoded; unbounded in pixels",
            art_class="LADDERAttack",
        ),
        "song": Attack(
            "atk_latent.art_bridge.unrestricted:SONG",
            "images of a GAN (atkl train-gan), searched in its latents; unrestricted",
            art_class="UnrestrictedGAN",
        ),
    },
)

EXPERIMENTS = Registry(
    "experiment",
    {
        "atld-mnist": Entry(
            "atk_latent.reproduction.atld.experiments:mnist",
            "ATLD without and with IMT on MNIST, static and adaptive attacks apart",
            "mnist; 1 hour on 2 cores; paper: 3 GPU hours (estimated)",
        ),
        "atld-cifar10": Entry(
            "atk_latent.reproduction.atld.experiments:cifar10",
            "ATLD Tables I, III, IV and V and Figures 4 and 5, published numbers beside",
            "cifar10, cifar100; 20 hours on 2 cores (estimated); paper: a GPU, weeks (estimated)",
        ),
        "atld-cifar100": Entry(
            "atk_latent.reproduction.atld.experiments:cifar100",
            "ATLD Tables II to V and Figures 4 and 5, the same way",
            "cifar100, cifar10; 10 hours on 2 cores (estimated); paper: as atld-cifar10",
        ),
        "atld-svhn": Entry(
            "atk_latent.reproduction.atld.experiments:svhn",
            "ATLD Tables II, III and V and Figure 5, the same way, and Table IV's rows",
            "svhn, cifar10; 15 hours on 2 cores (estimated); paper: as atld-cifar10",
        ),
        "atld-matrix-mnist": Entry(
            "atk_latent.reproduction.atld.matrix:mnist",
            "ATLD's divergence terms beside feature scattering, PGD and TRADES on three networks",
            "mnist; 8 hours on 2 cores (estimated)",
        ),
        "atld-matrix-cifar10": Entry(
            "atk_latent.reproduction.atld.matrix:cifar10",
            "the same on CIFAR-10",
            "cifar10; 30 hours on 2 cores (estimated)",
        ),
        "atld-curves-cifar10": Entry(
            "atk_latent.reproduction.atld.curves:cifar10",
            "ATLD beside PGD training and feature scattering over many epochs, with curves",
            "cifar10; 10 hours on 2 cores (estimated)",
        ),
        "atld-fig1": Entry(
            "atk_latent.reproduction.atld.toy:figure_one",
            "ATLD Figure 1: perturbations and decision boundaries in two dimensions",
            "no data; 3 minutes on 2 cores; paper: 15 minutes, no GPU",
        ),
        "atld-fig3": Entry(
            "atk_latent.reproduction.atld.toy:figure_three",
            "ATLD Figure 3: IMT moves attacked points away from the boundary",
            "no data; 1 minute on 2 cores; paper: 5 minutes, no GPU",
        ),
        "ladder-mnist": Entry(
            "atk_latent.reproduction.ladder.tables:mnist",
            "LADDER Tables 2, 5, 7, 8, 9 and Figures 4, 6, 7, 9, 10, published numbers beside",
            "mnist; 1 1/2 hours on 2 cores; paper: 10 GPU hours (estimated)",
        ),
        "ladder-svhn": Entry(
            "atk_latent.reproduction.ladder.tables:svhn",
            "LADDER Tables 1, 5, 8, 9, the same way",
            "svhn; a GPU; paper: 40 GPU hours (estimated)",
        ),
        "ladder-celeba": Entry(
            "atk_latent.reproduction.ladder.tables:celeba",
            "LADDER Tables 3, 5, 8, 9, the same way",
            "celeba; a GPU; paper: 80 GPU hours (estimated)",
        ),
        "ladder-cifar10": Entry(
            "atk_latent.reproduction.ladder.tables:cifar10",
            "LADDER Tables 4 and 5, the same way",
            "cifar10; a GPU; paper: 60 GPU hours (estimated)",
        ),
        "baselines-mnist": Entry(
            "atk_latent.reproduction.baselines:mnist",
            "every method on MNIST: one network, one budget, five attacks, mean rank",
            "mnist; 2 hours on 2 cores; paper: 10 GPU hours (estimated)",
        ),
        "baselines-cifar10": Entry(
            "atk_latent.reproduction.baselines:cifar10",
            "the same on CIFAR-10 with a small network",
            "cifar10; 2 hours on 2 cores; paper: ResNet-18, 60 GPU hours (estimated)",
        ),
    },
)
