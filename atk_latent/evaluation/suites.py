"""Named lists of attacks."""

from __future__ import annotations

from collections.abc import Callable

from atk_latent.errors import InputError

Suite = Callable[[str, str], list[str]]


def _atld_static(eps: str, step: str) -> list[str]:
    """ATLD's Tables I, II and IV: the attacker sees the bare classifier, IMT comes after."""
    ball = f"eps={eps}"
    last = f"{ball},step_size={step},keep=last"
    return [
        f"rs-fgsm:{ball}",
        *(f"{name}:{last},steps={n}" for n in (20, 100) for name in ("pgd", "cw-pgd")),
        f"autoattack:{ball}",
    ]


def _atld_adaptive(eps: str, step: str) -> list[str]:
    """Table V's four groups, then attacks through the IMT step, which nobody had published."""
    ball, paced = f"eps={eps}", f"eps={eps},step_size={step}"
    losses = [f"{ball},steps=1", f"{paced},steps=20", f"{paced},steps=20,loss=margin"]
    groups = [f"atld-{group}:{loss}" for group in ("joint", "chain") for loss in losses]
    backwards = ("identity", "exact", "straight-through", "smooth")
    return [
        *groups,
        f"atld-manifold:{ball},steps=1",
        f"atld-manifold:{paced},steps=20",
        f"atld-joint:{paced},steps=20,towards=adversarial",
        f"atld-manifold:{paced},steps=20,towards=adversarial",
        *(f"through-imt:attack=pgd,backward={way},{paced},steps=20" for way in backwards),
        f"through-imt:attack=cw-pgd,{paced},steps=20",
        f"through-imt:attack=autoattack,{ball}",
    ]


SUITES: dict[str, Suite] = {"atld-static": _atld_static, "atld-adaptive": _atld_adaptive}


def suite_specs(name: str, image_shape: tuple[int, ...]) -> list[str]:
    """The attacks of a suite, at the customary Linf radius of the images.

    Args:
        name: of `SUITES`. image_shape: (height, width, channels).

    Raises:
        InputError: on an unknown name.
    """
    if name not in SUITES:
        raise InputError(f"unknown suite '{name}'. Known: {', '.join(SUITES)}")
    digits = tuple(image_shape) == (28, 28, 1)
    return SUITES[name](*(("0.3", "0.075") if digits else ("8/255", "2/255")))
