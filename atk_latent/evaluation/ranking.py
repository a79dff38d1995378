"""The average rank of the LADDER paper's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def average_ranks(
    accuracies: Mapping[str, Sequence[float | None]], digits: int = 4
) -> dict[str, float]:
    """Ranks methods in each column of a table of accuracies and averages; smaller is better.

    The rank in a column is 1 + the number of methods strictly better there, so equal ones
    share the better rank. A cell that is missing (a method's own attack) is left out of its
    column and of its method's average.

    Args:
        accuracies: method -> one accuracy a column, None where there is none.
        digits: decimals to which accuracies count as equal.

    Returns:
        method -> mean rank over its own columns; NaN for a method without any.

    Raises:
        ValueError: if rows differ in length.

    Reference: LADDER, Tables 1 to 4; the rule gives all 36 ranks printed there.
    """
    rows = {
        name: [None if v is None else round(v, digits) for v in values]
        for name, values in accuracies.items()
    }
    if len({len(row) for row in rows.values()}) > 1:
        raise ValueError("every method needs a value or None for each column")
    ranks: dict[str, list[int]] = {name: [] for name in rows}
    for column in zip(*rows.values(), strict=True):
        present = [value for value in column if value is not None]
        for name, value in zip(rows, column, strict=True):
            if value is not None:
                ranks[name].append(1 + sum(other > value for other in present))
    return {name: sum(r) / len(r) if r else float("nan") for name, r in ranks.items()}
