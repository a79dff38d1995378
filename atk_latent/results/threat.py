"""What an attacker may do and knows: one value, compared and grouped as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from atk_latent.results.record import Record, optional

Access = Literal["none", "white-box", "score-based", "decision-based", "unknown"]
Norm = Literal["linf", "l2", "l1", "l0", "latent", "unrestricted"]
# What the attack knows of a defence at prediction time, IMT: nothing is deployed; it is, and
# the attack is unaware of it; the attack sees its discriminator; it goes through the step,
# with the gradient of that name.
Knowledge = Literal[
    "no defence", "unaware", "discriminator", "identity", "exact", "straight-through", "smooth"
]
NORM_WORDS: dict[str, str] = {
    "linf": "Linf",
    "l2": "L2",
    "l1": "L1",
    "l0": "L0",
    "latent": "unbounded in pixels",
    "unrestricted": "unrestricted (images of a GAN)",
}
BACKWARD_WORDS: dict[str, str] = {
    "identity": "BPDA, the move's gradient taken as 1",
    "exact": "exact gradient, 0 where the move is clipped",
    "straight-through": "BPDA, straight-through sign",
    "smooth": "smooth surrogate, tanh for sign",
}
_ACCESS_MEANINGS: dict[str, str] = {
    "white-box": "The attacker has the whole model and its gradients.",
    "score-based": "The attacker sees the model's scores (logits), no gradients.",
    "decision-based": "The attacker sees only which class the model predicts.",
}
_TRANSFER = "The images are made on another model and only scored here."
_ADAPTIVE = "The attacker knows the defence that works at prediction time."
_STATIC = (
    "The images are made on the bare classifier and scored behind its defence: "
    "the attacker does not know of it."
)


@dataclass(frozen=True)
class ThreatGroup:
    """Threat models whose numbers may stand in one table; of two groups they never do.

    Args:
        name: heads the table: "White-box", "Transfer from runs/a".
        meaning: what such a number says, sentences; "" where the name says all.
        is_direct: whether the images are made on the very thing that is deployed.
    """

    name: str
    meaning: str
    is_direct: bool = True


class ThreatModel(Record):
    """What an attacker may do and knows.

    Numbers of two threat models never share a column: compare them with ``==``, group them by
    hash, show them with ``str``.

    Args:
        access: to the model the images are made on: all of it, its scores, its decisions;
            "none" is no attack, "unknown" an access that an older file does not say.
        norm: what the change is measured in; "latent" bounds the latents and not the pixels,
            "unrestricted" nothing.
        eps: float > 0, radius in [0, 1] pixel units; None where there is none.
        crafted_on: name of the model the images are made on, None for the target itself.
        knows_defence: what the attack knows of the defence at prediction time; "no defence"
            where none is deployed.
        defence: what is deployed at prediction time, "imt" or "imt+"; "" for nothing.
        words: of an older file that says none of the above; shown as they are.

    Example:
        >>> str(ThreatModel(access="white-box", norm="linf", eps=0.3))
        'white-box, Linf'
    """

    access: Access
    norm: Norm | None = None
    eps: float | None = None
    crafted_on: str | None = None
    knows_defence: Knowledge = "no defence"
    defence: str = ""
    words: str = optional("")

    @property
    def is_adaptive(self) -> bool:
        """Whether the attack knows of the defence at prediction time."""
        return self.knows_defence not in ("no defence", "unaware")

    @property
    def is_static(self) -> bool:
        """Whether there is a defence at prediction time that the attack does not know of."""
        return self.knows_defence == "unaware"

    @property
    def is_direct(self) -> bool:
        """Whether the images are made on the very thing that is deployed."""
        return self.crafted_on is None and not self.is_static

    @property
    def defence_name(self) -> str:
        """What is deployed, without its settings: "IMT+"; "" for nothing."""
        return self.defence.partition(":")[0].upper()

    @property
    def attacker(self) -> ThreatModel:
        """The threat model whichever defence it meets: what all cells of a column share.

        A table's rows may stand behind different defences; the attacker of a column is one.
        """
        return self.model_copy(update={"defence": ""})

    @property
    def group(self) -> ThreatGroup:
        """The group whose table or figure a number under this threat model belongs in."""
        names, meanings = [], []
        if self.is_static:
            names.append("static")
        if self.is_adaptive:
            names.append("adaptive")
            meanings.append(_ADAPTIVE)
        if self.crafted_on is not None:
            names.append(f"transfer from {self.crafted_on}")
            meanings.append(_TRANSFER)
        elif not self.is_adaptive:
            names.append(self.words or self.access)
            meanings.append(_ACCESS_MEANINGS.get(self.access, ""))
        name = ", ".join(names)
        meanings += [_STATIC] if self.is_static else []
        return ThreatGroup(name[:1].upper() + name[1:], " ".join(meanings).strip(), self.is_direct)

    def __str__(self) -> str:
        """The threat model in words; the only place that writes them."""
        if self.access == "none" or self.words:
            return self.words or "none"
        norm = [NORM_WORDS[self.norm]] if self.norm else []
        reach = [] if self.access == "unknown" else [self._reach()]
        text = ", ".join([*reach, *norm])
        if self.crafted_on is not None:
            there = ", ".join([*(f"{words} there" for words in reach), *norm])
            text = f"transfer from {self.crafted_on}" + (f" ({there})" if there else "")
        if self.is_adaptive:
            return f"adaptive: {text}"
        if self.is_static:
            return f"static: {text}, unaware of {self.defence_name}"
        return text

    def _reach(self) -> str:
        if self.knows_defence == "discriminator":
            return "sees classifier and discriminator but not the IMT step"
        if self.is_adaptive:
            return f"{self.access} through IMT ({BACKWARD_WORDS[self.knows_defence]})"
        if self.norm == "latent" and self.crafted_on is None:
            return f"{self.access} on its own latents"
        return self.access
