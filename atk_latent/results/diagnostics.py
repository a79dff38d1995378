"""What an attack says of its own run, beside the images."""

from __future__ import annotations

from collections.abc import Sequence

from atk_latent.results.record import Count, Fraction, JsonField, Length, Record


class Component(Record):
    """What one attack of a cascade (AutoAttack) did.

    Args:
        name, settings: the attack.
        n_in: images it was handed, those that were still robust.
        robust_accuracy: share of all images that is left after it.
        seconds: of crafting and judging, compiling included.
        forward, backward: passes that its images can have cost at most, one a sample.
    """

    name: str
    settings: JsonField
    robust_accuracy: Fraction
    n_in: Count
    seconds: Length
    forward: Count
    backward: Count


class Diagnostics(Record):
    """What an attack says of one `generate`, or of several added up.

    Args:
        counts: what it counted, by name (`song`: searched, succeeded, wrong_at_start).
        components: of a cascade, in order.
        warnings: where it could not do what its name says, and reasons to doubt the number.
    """

    counts: dict[str, Count] = {}
    components: tuple[Component, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def total(cls, parts: Sequence[tuple[Diagnostics, int]]) -> Diagnostics:
        """The diagnostics of all images from those of chunks.

        Args:
            parts: the diagnostics of each chunk with its number of images.
        """
        counts: dict[str, Count] = {}
        for diagnostics, _ in parts:
            for name, count in diagnostics.counts.items():
                counts[name] = counts.get(name, 0) + count
        images = sum(n for _, n in parts)
        rows = zip(*(diagnostics.components for diagnostics, _ in parts), strict=True)
        sizes = [n for _, n in parts]
        components = tuple(_added(list(row), sizes, images) for row in rows)
        warnings = [line for diagnostics, _ in parts for line in diagnostics.warnings]
        return cls(counts=counts, components=components, warnings=tuple(dict.fromkeys(warnings)))


def _added(row: Sequence[Component], sizes: Sequence[int], images: int) -> Component:
    """One part of a cascade over all chunks."""
    robust = sum(part.robust_accuracy * n for part, n in zip(row, sizes, strict=True))
    return Component(
        name=row[0].name,
        settings=row[0].settings,
        robust_accuracy=round(robust) / images,
        n_in=sum(part.n_in for part in row),
        seconds=sum(part.seconds for part in row),
        forward=sum(part.forward for part in row),
        backward=sum(part.backward for part in row),
    )
