"""The card of a run in words: what was trained, on what, how, and what is known of it.

Reference: Mitchell et al., Model Cards for Model Reporting, FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atk_latent.registry import METHODS
from atk_latent.reporting.tables import Table, markdown_rows, markdown_text, measured

_FACTS = {
    "model": "network",
    "train_images": "training images",
    "test_images": "test images",
    "data_fingerprint": "fingerprint of the data",
    "seed": "seed",
    "seconds": "seconds, all training and measuring",
    "peak_memory_mb": "most memory, MiB",
    "resumed": "stopped and resumed",
}
LIMITS = (
    "All numbers are of these test images; other data can give others.",
    "Clean accuracy says nothing about attacks, accuracy under one threat model nothing of others.",
    "`atkl evaluate` attacks the model, `atkl audit` looks for masked gradients.",
    "An accuracy under attack is an upper bound: a stronger attack may leave less.",
)


@dataclass(frozen=True)
class Section:
    """A part of a card.

    Args:
        title: its heading.
        text: paragraphs; words between backquotes are code.
        tables: below the text.
        code: lines to run.
    """

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    code: str = ""


def sections(
    card: Mapping[str, Any], overrides: Mapping[str, Any] | None = None, name: str = "card"
) -> tuple[Section, ...]:
    """The parts of a card.

    Args:
        card: content of `card.json`.
        overrides: settings asked for on top of the preset, where the card does not say.
        name: begins the names of its tables.
    """
    asked = card.get("overrides", overrides)
    return (
        Section("What it is", (_what(card),), (_facts(card, f"{name}-facts"),)),
        Section("How it was trained", (_difference(card, asked),), _settings(card, asked, name)),
        Section("Measured", _remeasured(card), measured(card, f"{name}-measured")),
        Section(
            "Limits", (*card.get("limits", ()), *(LIMITS if _classifies(card) else LIMITS[:1]))
        ),
        Section("How to load it", *_loading(card)),
    )


def model_card(card: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> str:
    """The card of a run as Markdown.

    Args:
        card: content of `card.json`.
        overrides: settings asked for on top of the preset, where the card does not say.
    """
    return markdown(sections(card, overrides), title(card))


def title(card: Mapping[str, Any]) -> str:
    """The card's heading."""
    return f"Model card: {card['method']} on {card['data']}"


def markdown(parts: tuple[Section, ...], heading: str, level: int = 1) -> str:
    """Sections as Markdown under a heading of that level."""
    lines = [f"{'#' * level} {markdown_text(heading)}", ""]
    for part in parts:
        lines += [f"{'#' * (level + 1)} {part.title}", ""]
        several = len(part.text) > 1
        for words in part.text:
            lines += [f"- {_prose(words)}"] if several else [_prose(words), ""]
        lines += [""] if several else []
        for i, table in enumerate(part.tables):
            caption = f"**{markdown_text(table.caption)}**" if i else None
            lines += [markdown_rows(table, caption)]
        lines += ["```python", part.code, "```", ""] if part.code else []
    return "\n".join(lines).rstrip("\n") + "\n"


def _prose(words: str) -> str:
    """A sentence in Markdown; what stands between backquotes stays code."""
    return "`".join(
        part if i % 2 else markdown_text(part, strip=False)
        for i, part in enumerate(words.split("`"))
    )


def _what(card: Mapping[str, Any]) -> str:
    method, data = card["method"], card["data"]
    summary = f" ({METHODS.entry(method).summary})" if method in METHODS else ""
    classes = card.get("class_names", ())
    names = ", ".join(classes[:20]) + (", ..." if len(classes) > 20 else "")
    return (
        f"The method {method}{summary} on the data set {data}, preset {card['preset']}."
        + (f" Classes: {names}." if classes else "")
        + " Images are float32 in [0, 1]"
        + ("; the model carries its own scaling and ends in logits." if _classifies(card) else ".")
    )


def _classifies(card: Mapping[str, Any]) -> bool:
    """Whether the run holds a classifier; a GAN's does not."""
    return card.get("clean_accuracy") is not None


def _facts(card: Mapping[str, Any], name: str) -> Table:
    known = {key: card[key] for key in _FACTS if card.get(key) is not None}
    rows = [(_FACTS[key], _shown(value)) for key, value in known.items()]
    rows += [(package, number) for package, number in card["versions"].items()]
    return Table(name, f"Facts of the run, {card['method']}", ("fact", "value"), tuple(rows))


def _difference(card: Mapping[str, Any], asked: Mapping[str, Any] | None) -> str:
    preset = card["preset"]
    if asked is None:
        return (
            f"The run did not note what was asked for beside the preset {preset}; "
            "the table holds every setting as it was used."
        )
    if not asked:
        return f"The preset {preset} as it is; the table holds every setting."
    changed = ", ".join(f"{key}={_shown(value)}" for key, value in asked.items())
    return (
        f"The preset {preset}, but for {changed}; what follows from that is in the table, "
        "which holds every setting."
    )


def _settings(
    card: Mapping[str, Any], asked: Mapping[str, Any] | None, name: str
) -> tuple[Table, ...]:
    rows = tuple(
        (key, _shown(value), "asked for" if key in (asked or {}) else "")
        for key, value in card["settings"].items()
    )
    return (Table(f"{name}-settings", "All settings", ("setting", "value", ""), rows),)


def _remeasured(card: Mapping[str, Any]) -> tuple[str, ...]:
    said = card.get("remeasured")
    return (f"Measured again: {said}.",) if said else ()


def _loading(card: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[Table, ...], str]:
    if not _classifies(card):
        return ("This run has no classifier; its networks are in its folder `helpers`.",), (), ""
    code = (
        "import keras\n\n"
        'model = keras.saving.load_model("model.keras")  # in the folder of this card\n'
        "classes = model.predict(images).argmax(axis=1)  # float32 in [0, 1], NHWC"
    )
    return ("Keras 3 loads it without this package.",), (), code


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item) for item in value)
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)
