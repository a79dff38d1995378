"""Every adversary by name, in one place; made without importing TensorFlow before it is needed."""

from __future__ import annotations

from typing import Any

from atk_latent.registry import Entry, Registry

_ASCENT = "atk_latent.adversaries.gradient_ascent"
_APGD = "atk_latent.adversaries.apgd"

ADVERSARIES = Registry(
    "adversary",
    {
        "fgsm": Entry(f"{_ASCENT}:fgsm", "one gradient step of eps"),
        "rs-fgsm": Entry(f"{_ASCENT}:rs_fgsm", "one gradient step of eps from a random start"),
        "pgd": Entry(f"{_ASCENT}:pgd", "gradient steps from a random start"),
        "bim": Entry(f"{_ASCENT}:bim", "gradient steps from the image itself"),
        "mim": Entry(f"{_ASCENT}:mim", "gradient steps with momentum, from the image itself"),
        "cw-pgd": Entry(f"{_ASCENT}:cw_pgd", "PGD on the margin loss, the papers' CW20/40/100"),
        "kl-pgd": Entry(
            "atk_latent.adversaries.kl_ascent:kl_pgd",
            "gradient steps away from the classifier's own answer, TRADES' attack",
        ),
        "feature-scattering": Entry(
            "atk_latent.adversaries.feature_scattering:feature_scattering",
            "one gradient step that scatters a batch's features, without labels",
        ),
        "apgd-ce": Entry(f"{_APGD}:apgd_ce", "APGD on cross-entropy, of AutoAttack"),
        "apgd-dlr": Entry(f"{_APGD}:apgd_dlr", "APGD on the logit-ratio loss, of AutoAttack"),
        "apgd-t": Entry(
            f"{_APGD}:apgd_t", "APGD on the logit-ratio loss towards 9 classes, of AutoAttack"
        ),
        "jsma": Entry(
            "atk_latent.adversaries.jsma:jsma", "saliency map, two values at a time towards a class"
        ),
        "cw-l2": Entry(
            "atk_latent.adversaries.carlini:carlini_l2", "Carlini-Wagner, the smallest L2 change"
        ),
        "fab": Entry(
            "atk_latent.adversaries.fab:fab", "the nearest adversarial image, of AutoAttack"
        ),
        "fab-t": Entry(
            "atk_latent.adversaries.fab:fab_t",
            "the nearest adversarial image of 9 classes in turn, of AutoAttack",
        ),
        "square": Entry("atk_latent.adversaries.square:square", "random squares, sees logits only"),
        "rays": Entry(
            "atk_latent.adversaries.rays:rays", "nearest boundary along rays, sees labels only"
        ),
    },
)


def make_adversary(name: str, *, seed: Any = 0, **settings: Any) -> Any:
    """The adversary `name` with its own defaults and `settings` on top.

    Args:
        name: of `ADVERSARIES`. seed: int >= 0 or a `keras.random.SeedGenerator`.
        **settings: values or text (``eps="8/255"``) of the adversary's settings.

    Raises:
        InputError: on an unknown name or setting (with the nearest one) or a value that
            cannot be.
    """
    return ADVERSARIES[name](seed=seed, **settings)
