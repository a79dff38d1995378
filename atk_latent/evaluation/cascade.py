"""What attacks say of themselves, of all images, from what they said of each chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atk_latent.evaluation.chunks import Chunk

_SUMS = ("n_in", "seconds", "forward", "backward")


def cascade(chunks: Sequence[Chunk]) -> dict[str, Any]:
    """Adds up the accounts of chunks.

    Args:
        chunks: of one attack; those of most attacks have no account.

    Returns:
        Nothing where there is no account. `counts`, summed, where there are any. For a cascade
        `components`, for each part in order its
        name, settings, n_in (images it was given), robust_accuracy (share of all images that
        it left), seconds, forward and backward (passes at most, see `ComponentRecord`); and
        `warnings`, notes and doubts, each once.
    """
    accounts = [(chunk.account, len(chunk.robust)) for chunk in chunks if chunk.account]
    if not accounts:
        return {}
    if "counts" in accounts[0][0]:
        counts = [account["counts"] for account, _ in accounts]
        return {"counts": {name: sum(each[name] for each in counts) for name in counts[0]}}
    total = sum(images for _, images in accounts)
    components = []
    for parts in zip(*(account["components"] for account, _ in accounts), strict=True):
        left = sum(
            part["robust_accuracy"] * images
            for part, (_, images) in zip(parts, accounts, strict=True)
        )
        component = {"name": parts[0]["name"], "settings": parts[0]["settings"]}
        component["robust_accuracy"] = round(left) / total
        components.append(component | {key: sum(part[key] for part in parts) for key in _SUMS})
    said = [line for account, _ in accounts for line in account["notes"] + account["warnings"]]
    return {"components": components, "warnings": list(dict.fromkeys(said))}
