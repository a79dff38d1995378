"""Panels of an attack: some of its images, and which classes are taken for which."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from atk_latent.data.aliases import known
from atk_latent.errors import InputError, visible
from atk_latent.reporting.outcomes import Confusion, Outcome, confusion, outcomes_of, survives
from atk_latent.reporting.plots import COLOURS, INK, Chart, ink_on
from atk_latent.reporting.tables import Table, TableCell, slug
from atk_latent.results.attack_result import Example
from atk_latent.results.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

MANY = 20  # classes; with more, only the most confused pairs are shown
PAIRS = 20  # of them
MOST_PANELS = 24  # of a report; each has figures to draw and pictures to hold
CHANGE = (
    "The middle picture is the change: grey is none, black and white are the ends of the scale "
    "said below it, down and up."
)
_PICTURES = ("image", "perturbation", "adversarial")


@dataclass(frozen=True)
class Picture:
    """One picture of an example.

    Args:
        file: a PNG. alternative: what it shows. lines: below it.
    """

    file: bytes
    alternative: str
    lines: tuple[str, ...]

    @property
    def uri(self) -> str:
        """The file as an address that needs no network."""
        return f"data:image/png;base64,{base64.b64encode(self.file).decode('ascii')}"


@dataclass(frozen=True)
class Triple:
    """An image, its change and the attacked image.

    Args:
        title: number and true class. held: whether the attack failed on it.
        word: what became of it. pictures: the three.
    """

    title: str
    held: bool
    word: str
    pictures: tuple[Picture, ...]

    @property
    def text(self) -> str:
        """All that is said of it, a line."""
        said = "; ".join(", ".join(picture.lines) for picture in self.pictures)
        return f"{self.title}, {self.word}: {said}"


@dataclass(frozen=True)
class Panel:
    """What one attack did, image by image.

    Args:
        title: the attack. threat: its threat model. anchor: in the page.
        triples: some images. table: confusion; None where the file does not hold it.
        charts: the same as figures. first: whether it is the strongest, shown open.
    """

    title: str
    threat: str
    anchor: str
    triples: tuple[Triple, ...]
    table: Table | None
    charts: tuple[Chart, ...]
    first: bool = False


def example_panels(result: Evaluation, number: int, most: int = MOST_PANELS) -> tuple[Panel, ...]:
    """A panel for every attack of which the file holds images or predictions.

    Photographs of people are not shown.

    Args:
        result: the record. number: of it in the report. most: panels, those of the strongest.
    """
    outcomes = [
        (i, outcome)
        for i, outcome in enumerate(outcomes_of(result), 1)
        if _examples(result, outcome) or survives(result, outcome.result) is not None
    ]
    strongest = sorted(
        outcomes, key=lambda pair: (*_openness(pair[1]), pair[1].accuracy.value, pair[0])
    )[:most]
    return tuple(
        _panel(result, outcome, f"{number}-look-{i}-{slug(outcome.label)}", i == strongest[0][0])
        for i, outcome in outcomes
        if (i, outcome) in strongest
    )


def _examples(result: Evaluation, outcome: Outcome) -> tuple[Example, ...]:
    """The images that may be shown."""
    return () if known(PurePath(result.data).stem).has_faces else outcome.result.examples


def _openness(outcome: Outcome) -> tuple[bool, bool]:
    """Attacks on what is deployed come before others, those with a radius before others."""
    return not outcome.group.is_direct, outcome.eps is None


def _panel(result: Evaluation, outcome: Outcome, anchor: str, first: bool) -> Panel:
    triples = tuple(_triple(result, example) for example in _examples(result, outcome))
    charts = [_examples_chart(result, outcome, triples, anchor)] if triples else []
    counted, table = confusion(result, outcome.result), None
    if counted is not None:
        name = f"{anchor}-confusion"
        few = len(counted.counts) <= MANY
        table = (_matrix if few else _pairs)(result, outcome, counted, name)
        charts += [_matrix_chart(result, outcome, counted, name)] if few else []
    return Panel(outcome.label, outcome.threat, anchor, triples, table, tuple(charts), first)


def _triple(result: Evaluation, example: Example) -> Triple:
    def predicted(number: int, confidence: float | None) -> str:
        sure = "" if confidence is None else f" ({confidence:.1%})"
        return f"predicted {visible(result.class_name(number))}{sure}"

    about = f"image {example.index}, true class {visible(result.class_name(example.label))}"
    length = "" if example.l2 is None else f", L2 {example.l2:.3g}"
    captions = (
        ("original", predicted(example.clean_prediction, example.clean_confidence)),
        ("change", f"scale ±{example.perturbation_scale:.3g}{length}"),
        ("adversarial", predicted(example.prediction, example.confidence)),
    )
    meanings = ("as it is", "the change made by the attack", "after the attack")
    pictures = tuple(
        Picture(getattr(example, field), f"{about}, {what}", lines)
        for field, what, lines in zip(_PICTURES, meanings, captions, strict=True)
    )
    wrong_before = example.clean_prediction != example.label
    word = "wrong before" if wrong_before else "held" if example.is_robust else "misled"
    return Triple(about[0].upper() + about[1:], example.is_robust, word, pictures)


def _examples_chart(
    result: Evaluation, outcome: Outcome, triples: Sequence[Triple], anchor: str
) -> Chart:
    pixels = [[_pixels(p.file, triple.title) for p in triple.pictures] for triple in triples]

    def draw(axis: Axes) -> None:
        step = 1.15
        for row, triple in enumerate(triples):
            for column, image in enumerate(pixels[row]):
                left, top = column * step, row * step
                axis.imshow(image, extent=(left, left + 1, top + 1, top), interpolation="none",
                            cmap="gray", vmin=0, vmax=1)  # fmt: skip
            colour = COLOURS[0] if triple.held else COLOURS[1]
            axis.add_patch(_frame(2 * step, row * step, colour, triple.held))
            lines = [f"{triple.title}: {triple.word}"]
            lines += [", ".join(picture.lines) for picture in triple.pictures]
            axis.text(3 * step, row * step + 0.5, "\n".join(lines), va="center", fontsize=6.5)
        heads = enumerate(("original", "change", "adversarial"))
        for column, head in heads:
            axis.text(column * step + 0.5, -0.1, head, ha="center", fontsize=7)
        axis.set(xlim=(-0.05, 7.2), ylim=(len(triples) * step, -0.35), aspect="equal")
        axis.set_axis_off()

    title = f"Examples of {outcome.label} ({outcome.threat}), {result.title}"
    said = f"{CHANGE} {' '.join(triple.text + '.' for triple in triples)}"
    height = 0.3 + 0.78 * len(triples)
    return Chart(f"{anchor}-examples", title, said, draw, height, in_page=False)


def _frame(left: float, top: float, colour: str, held: bool) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((left, top), 1, 1, fill=False, edgecolor=colour, clip_on=False,
                     linewidth=1 if held else 2, linestyle="--" if held else "-")  # fmt: skip


def _pixels(file: bytes, where: str) -> np.ndarray:
    from matplotlib.image import imread

    try:
        return imread(io.BytesIO(file), format="png")
    except (OSError, SyntaxError, ValueError) as problem:
        raise InputError(f"{where}: its picture is no whole PNG file: {problem}") from None


def _matrix(result: Evaluation, outcome: Outcome, counted: Confusion, name: str) -> Table:
    names = [result.class_name(k) for k in range(len(counted.counts))]
    rows: list[tuple[TableCell, ...]] = [
        (true, *(int(count) for count in counts), robust)
        for true, counts, robust in zip(names, counted.counts, counted.robust, strict=True)
    ]
    shares = [(None, *(float(share) for share in line), None) for line in counted.shares]
    return Table(
        name,
        f"Confusion under {outcome.label} ({outcome.threat}): true class down, predicted class "
        "across",
        ("true class", *names, "robust accuracy, %"),
        tuple(rows),
        (
            "Images by their class after the attack; shades: share of the true class.",
            "Robust accuracy: right before and after the attack, with its 95% Wilson interval.",
        ),
        tuple(shares),
    )


def _pairs(result: Evaluation, outcome: Outcome, counted: Confusion, name: str) -> Table:
    rows = tuple(
        (result.class_name(true), result.class_name(other), count,
         round(100 * float(counted.shares[true, other]), 1), counted.robust[true])
        for true, other, count in counted.most_confused(PAIRS)
    )  # fmt: skip
    return Table(
        name,
        f"Most confused classes under {outcome.label} ({outcome.threat})",
        ("true class", "taken for", "images", "of the true class, %", "robust accuracy, %"),
        rows,
        (f"The {len(rows)} largest of all pairs of {len(counted.counts)} classes.",),
    )


def _matrix_chart(result: Evaluation, outcome: Outcome, counted: Confusion, name: str) -> Chart:
    names = [visible(result.class_name(k)) for k in range(len(counted.counts))]

    def draw(axis: Axes) -> None:
        from matplotlib import colormaps

        shades = colormaps["cividis_r"]
        some = np.ma.masked_equal(counted.shares, 0)  # elsewhere the ground shows
        axis.imshow(some, cmap=shades, vmin=0, vmax=1)
        size = min(9.0, 90 / len(names))
        for (true, other), count in np.ndenumerate(counted.counts):
            ink = ink_on(shades(float(counted.shares[true, other]))[:3]) if count else INK
            axis.text(other, true, str(count), ha="center", va="center", color=ink, fontsize=size)
        short = [name if len(name) <= 12 else f"{name[:11]}…" for name in names]
        wide = max(len(name) for name in short) > 2
        axis.set_xticks(range(len(names)), short, rotation=90 if wide else 0, fontsize=size)
        axis.set_yticks(range(len(names)), short, fontsize=size)
        axis.set(xlabel="predicted after the attack", ylabel="true class")
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
        axis.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
        axis.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
        axis.grid(which="minor", color=INK, alpha=0.2, linewidth=0.7)
        axis.tick_params(which="minor", length=0)

    cells = "; ".join(
        f"{names[true]} taken for {names[other]}: {count}"
        for true, other, count in counted.most_confused(PAIRS)
    )
    title = f"Confusion under {outcome.label} ({outcome.threat}), {result.title}"
    said = f"Matrix of images by true and predicted class. Most confused: {cells or 'none'}."
    return Chart(name, title, said, draw, 4.6, in_page=False)
