"""What else is known of a data set by its name: whose presets it uses, and its classifier."""

from __future__ import annotations

from typing import NamedTuple


class KnownData(NamedTuple):
    """What the name of a data set says.

    Args:
        like: the data set whose presets hold where there are none for this one; "" for none.
        model: the registered classifier that the papers train on it; "" is one by image size.
        has_faces: whether its images are photographs of people, which no report shows.
    """

    like: str = ""
    model: str = ""
    has_faces: bool = False


KNOWN = {
    "fashion_mnist": KnownData(like="mnist"),
    "kmnist": KnownData(like="mnist"),
    "digits": KnownData(like="mnist"),
    "cifar100": KnownData(like="cifar10"),
    "svhn": KnownData(like="cifar10", model="svhnnet"),
    "celeba": KnownData(model="celebanet", has_faces=True),
}


def known(data: str) -> KnownData:
    """What is known of the data set called `data`; nothing of one that is not listed."""
    return KNOWN.get(data, KnownData())


def widening(data: str) -> tuple[str, ...]:
    """The names under which a table may speak of a data set, from the widest to its own.

    Example:
        >>> from atk_latent.data.aliases import widening
        >>> widening("digits")
        ('any', 'mnist', 'digits')
    """
    return tuple(dict.fromkeys(name for name in ("any", known(data).like, data) if name))
