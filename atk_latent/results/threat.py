"""What an attacker may do and knows: one value, compared and grouped as one."""

from __future__ import annotations

from typing import Literal

from atk_latent.results.record import Record

Access = Literal["none", "white-box", "score-based", "decision-based"]
Norm = Literal["linf", "l2", "l1", "l0", "latent", "unrestricted"]
# What the attack knows of a defence at prediction time, IMT: nothing is deployed; it is, and
# the attack is unaware of it; the attack sees its discriminator; it goes through the step,
# with the gradient of that name.
Knowledge = Literal[
    "no defence",
    "unaware",
    "discriminator",
    "identity",
    "exact",
    "straight-through",
    "smooth",
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


class ThreatModel(Record):
    """What an attacker may do and knows.

    Numbers of two threat models never share a column: compare them with ``==``, group them by
    hash, show them with ``str``.

    Args:
        access: to the model the images are made on: all of it, its scores, its decisions;
            "none" is no attack.
        norm: what the change is measured in; "latent" bounds the latents and not the pixels,
            "unrestricted" nothing.
        eps: float > 0, radius in [0, 1] pixel units; None where there is none.
        crafted_on: name of the model the images are made on, None for the target itself.
        knows_defence: what the attack knows of the defence at prediction time; "no defence"
            where none is deployed.
        defence: what is deployed at prediction time, "imt" or "imt+"; "" for nothing.

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

    def __str__(self) -> str:
        """The threat model in words; the only place that writes them."""
        if self.access == "none":
            return "none"
        text = ", ".join(
            part for part in (self._reach(), NORM_WORDS[self.norm] if self.norm else "") if part
        )
        if self.crafted_on is not None:
            access, comma, rest = text.partition(", ")
            text = f"transfer from {self.crafted_on} ({access} there{comma}{rest})"
        if self.is_adaptive:
            return f"adaptive: {text}"
        if self.is_static:
            return f"static: {text}, unaware of {self.defence.partition(':')[0].upper()}"
        return text

    def _reach(self) -> str:
        if self.knows_defence == "discriminator":
            return "sees classifier and discriminator but not the IMT step"
        if self.is_adaptive:
            return f"{self.access} through IMT ({BACKWARD_WORDS[self.knows_defence]})"
        if self.norm == "latent" and self.crafted_on is None:
            return f"{self.access} on its own latents"
        return self.access
