"""The card of a run in words: what was trained, on what, how, and what is known of it.

Reference: Mitchell et al., Model Cards for Model Reporting, FAT* 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from atk_latent.registry import METHODS
from atk_latent.reporting.result_tables import measured
from atk_latent.reporting.tables import Table, markdown_rows, markdown_text
from atk_latent.results.card import Card

_FACTS = {
    "model": "network",
    "input_range": "pixels of the network inside",
    "preprocess": "preprocessing of the network inside",
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


def sections(card: Card, name: str = "card") -> tuple[Section, ...]:
    """The parts of a card.

    Args:
        card: of the run. name: begins the names of its tables.
    """
    limits = LIMITS if card.is_classifier else LIMITS[:1]
    return (
        Section("What it is", (_what(card),), (_facts(card, f"{name}-facts"),)),
        Section("How it was trained", (_difference(card),), _settings(card, name)),
        Section("Measured", _remeasured(card), measured(card, f"{name}-measured")),
        Section("Limits", (*card.limits, *limits)),
        _loading(card),
    )


def model_card(card: Card) -> str:
    """The card of a run as Markdown."""
    return markdown(sections(card), title(card))


def title(card: Card) -> str:
    """The card's heading."""
    return f"Model card: {card.title}"


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


def _what(card: Card) -> str:
    summary = f" ({METHODS.entry(card.method).summary})" if card.method in METHODS else ""
    names = ", ".join(card.class_names[:20]) + (", ..." if len(card.class_names) > 20 else "")
    return (
        f"The method {card.method}{summary} on the data set {card.data}, preset {card.preset}."
        + (f" Classes: {names}." if names else "")
        + " Images are float32 in [0, 1]"
        + ("; the model carries its own scaling and ends in logits." if card.is_classifier else ".")
    )


def _facts(card: Card, name: str) -> Table:
    values = ((words, getattr(card, field)) for field, words in _FACTS.items())
    rows = [(words, _text(value)) for words, value in values if value is not None]
    return Table(
        name, f"Facts of the run, {card.method}", ("fact", "value"), (*rows, *card.versions.items())
    )


def _difference(card: Card) -> str:
    preset = card.preset
    if card.overrides is None:
        return (
            f"The run did not note what was asked for beside the preset {preset}; "
            "the table holds every setting as it was used."
        )
    if not card.overrides:
        return f"The preset {preset} as it is; the table holds every setting."
    changed = ", ".join(f"{key}={_text(value)}" for key, value in card.overrides.items())
    return (
        f"The preset {preset}, but for {changed}; what follows from that is in the table, "
        "which holds every setting."
    )


def _settings(card: Card, name: str) -> tuple[Table, ...]:
    overrides = card.overrides or {}
    rows = tuple(
        (key, _text(value), "asked for" if key in overrides else "")
        for key, value in card.settings.items()
    )
    return (Table(f"{name}-settings", "All settings", ("setting", "value", ""), rows),)


def _remeasured(card: Card) -> tuple[str, ...]:
    return (f"Measured again: {card.remeasured}.",) if card.remeasured else ()


def _loading(card: Card) -> Section:
    heading = "How to load it"
    if not card.is_classifier:
        return Section(
            heading, ("This run has no classifier; its networks are in its folder `helpers`.",)
        )
    code = (
        "import keras\n\n"
        'model = keras.saving.load_model("model.keras")  # in the folder of this card\n'
        "classes = model.predict(images).argmax(axis=1)  # float32 in [0, 1], NHWC"
    )
    return Section(heading, ("Keras 3 loads it without this package.",), code=code)


def _text(value: JsonValue) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)
