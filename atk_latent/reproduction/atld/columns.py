"""The attacks of ATLD's tables: static ones, and those that know the discriminator or IMT."""

from __future__ import annotations

import dataclasses

from atk_latent.reproduction.experiment import ColumnSpec

_PACE = "eps={eps},step_size={step}"


def _white_box(label: str, attack: str, steps: int) -> ColumnSpec:
    text = f"{attack}:{_PACE},steps={steps},keep=last"
    return ColumnSpec(f"static: {label}-{steps}", text, "many")


def _adaptive(label: str, attack: str, images: str = "many") -> ColumnSpec:
    return ColumnSpec(f"adaptive: {label}", attack, images, needs_defence=True)


CLEAN = ColumnSpec("clean", None, "many")
FGSM = ColumnSpec("static: FGSM", "rs-fgsm:eps={eps}", "many")
PGD_20, CW_20, PGD_40, CW_40, PGD_100, CW_100 = (
    _white_box(label, attack, steps)
    for steps in (20, 40, 100)
    for label, attack in (("PGD", "pgd"), ("CW", "cw-pgd"))
)
AUTOATTACK = ColumnSpec("static: AutoAttack", "autoattack:eps={eps}", "few")
RAYS = ColumnSpec("static: RayS", "rays:eps={eps},queries={queries}", "few")
STATIC = (FGSM, PGD_20, CW_20, AUTOATTACK)

# As the published evaluation does, which tells IMT what it is that it has before it.
CLEAN_TOLD = ColumnSpec("clean, told", None, "many", needs_defence=True, told="clean")
FGSM_TOLD = dataclasses.replace(FGSM, label="static: FGSM, told", needs_defence=True, told="fgsm")

JOINT_20 = _adaptive("classifier + D, PGD-20", f"atld-joint:{_PACE},steps=20")
CHAIN_20 = _adaptive("classifier 20, D 1", f"atld-chain:{_PACE},steps=20")
D_20 = _adaptive("D 20", f"atld-manifold:{_PACE},steps=20")
ADAPTIVE = (
    JOINT_20,
    CHAIN_20,
    D_20,
    _adaptive("PGD-20 through IMT", f"through-imt:attack=pgd,{_PACE},steps=20"),
    _adaptive("AutoAttack through IMT", "through-imt:attack=autoattack,eps={eps}", "few"),
)
TABLE_FOUR = (CLEAN, CW_100, AUTOATTACK, RAYS)
TABLE_FIVE = (
    _adaptive("classifier + D, FGSM", "atld-joint:eps={eps},steps=1"),
    JOINT_20,
    _adaptive("classifier + D, CW-20", f"atld-joint:{_PACE},steps=20,loss=margin"),
    _adaptive("classifier 1, D 1, FGSM", "atld-chain:eps={eps},steps=1"),
    CHAIN_20,
    _adaptive("classifier 20, D 1, CW", f"atld-chain:{_PACE},steps=20,loss=margin"),
    _adaptive("D 1", "atld-manifold:eps={eps},steps=1"),
    D_20,
)
