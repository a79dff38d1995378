"""Figures of results, as SVG that follows the page's light or dark, and as PNG.

Colours are Okabe and Ito's; those taken have a contrast of 3:1 on white and on the page's
dark ground. Hatches, markers and line styles say the same as the colours.

Reference: Okabe and Ito, Color Universal Design, 2008; WCAG 2.2, 1.4.11.
"""

from __future__ import annotations

import functools
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

from atk_latent.errors import visible
from atk_latent.reporting.label_places import free_places
from atk_latent.reporting.outcomes import Outcome, groups, outcomes_of, worst_cases
from atk_latent.reporting.result_tables import CLEAN
from atk_latent.reporting.tables import percent, slug, text
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.card import Card
from atk_latent.results.comparison import Comparison
from atk_latent.results.evaluation import Evaluation
from atk_latent.results.files import Result
from atk_latent.results.threat import ThreatModel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#1b1f24"  # text and axes; SVG turns it into the page's own colour
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_HATCHES = ("", "///", "...", "xxx")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_LINES = ("-", "--", "-.", ":")
_WIDTH = 5.0  # inches; about a phone's width, so that letters keep their size there
_AXES = (300.0, 190.0)  # least width and height of a scatter chart's axes, typographic points
_LONGEST = 34  # letters of a name beside a bar
_MOST_BARS, _MOST_LINES = 40, 12  # of a chart; the tables have all
MANY = 12  # results; with more there are only figures of all of them together


@dataclass(frozen=True)
class Chart:
    """A figure that is still to be drawn.

    Args:
        name: of its files, and its anchor in the page.
        title: what it shows, a sentence.
        description: the same for who does not see it, numbers included.
        draw: puts it on a Matplotlib figure.
        height: inches.
        in_page: whether the page shows it among the figures; else it has the same as text.
    """

    name: str
    title: str
    description: str
    draw: Callable[[Axes], None]
    height: float = 3.4
    in_page: bool = True

    @functools.cached_property
    def _drawn(self) -> str:
        return self.image("svg").decode("utf-8")

    def image(self, form: str) -> bytes:
        """The figure drawn: "svg" as it goes into a page, or "png" on white."""
        from matplotlib import RcParams, rc_context
        from matplotlib.figure import Figure

        plain = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), INK)
        ticks = {f"{axis}tick.{part}": INK for axis in "xy" for part in ("color", "labelcolor")}
        shape = {"font.size": 10.5, "axes.spines.top": False, "axes.spines.right": False}
        bare = {"svg.fonttype": "path", "svg.hashsalt": self.name, "text.parse_math": False}
        file = io.BytesIO()
        style = RcParams({**plain, **ticks, **shape, **bare, "hatch.linewidth": 0.8})
        with rc_context(style):
            figure = Figure(figsize=(_WIDTH, self.height), layout="constrained")
            self.draw(figure.subplots())
            ground = "none" if form == "svg" else "white"
            figure.savefig(file, format=form, dpi=200, transparent=True, facecolor=ground)
        return file.getvalue()

    def svg(self, *, alone: bool = False) -> str:
        """The figure as SVG with a title and a description, in the colour of the text around.

        Args:
            alone: for a file of its own, which follows the reader's light or dark by itself.
        """
        noise = r"<!--.*?-->|<metadata>.*?</metadata>"
        drawn = re.sub(noise, "", self._drawn, flags=re.DOTALL)
        drawn = drawn[drawn.index("<svg") :].replace(INK, "currentColor")
        drawn = re.sub(r'\bid="', f'id="{self.name}-', drawn)
        drawn = re.sub(r'(href="|url\()#', rf"\1#{self.name}-", drawn)
        width, height = re.findall(r' (?:width|height)="([\d.]+)pt"', drawn)[:2]
        inside = drawn[drawn.index(">") + 1 :]
        ground = _ALONE if alone else ""
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width} {height}" role="img" '
            f'aria-labelledby="{self.name}-title {self.name}-desc">'
            f'<title id="{self.name}-title">{escape(visible(self.title))}</title>'
            f'<desc id="{self.name}-desc">{escape(visible(self.description))}</desc>'
            f"{ground}{inside}"
        )


_ALONE = (
    "<style>:root{color:#1b1f24}@media(prefers-color-scheme:dark){:root{color:#e8eaed}}</style>"
)


def ink_on(ground: Sequence[float]) -> str:
    """Black or white, whichever stands out more on a colour.

    Args:
        ground: red, green and blue from 0 to 1.

    Reference: WCAG 2.2, relative luminance; one of the two has a contrast of 4.5:1 or more.
    """
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in ground]
    light = sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#000000" if light > 0.179 else "#ffffff"


def charts_of(results: Sequence[Result]) -> tuple[Chart, ...]:
    """Every figure that the results give: bars, accuracy over eps, clean against robust."""
    charts = [
        chart
        for number, result in enumerate(results, 1)
        if len(results) <= MANY
        for chart in _own_charts(result, number)
    ]
    return (*charts, *_over_eps(_all_outcomes(results)), *trade_offs(results))


@functools.singledispatch
def _own_charts(result: Result, number: int) -> list[Chart]:
    """The figures of one result alone; `number` begins their names."""
    return []


@_own_charts.register
def _evaluation_charts(result: Evaluation, number: int) -> list[Chart]:
    charts = []
    for i, (group, outcomes) in enumerate(groups(outcomes_of(result)), 1):
        name = f"{number}-{i}-bars-{slug(group.name)}-{slug(result.title)}"
        together = [outcome for outcome in worst_cases(result) if outcome.group == group]
        every = [*outcomes, *together]
        bars = [(CLEAN, result.clean), *((o.attack if o.parts else o.label, o.accuracy)
                                         for o in every)]  # fmt: skip
        marks = {o.label: o.result.published.value for o in every if o.result.published}
        title = f"{group.name}: accuracy that each attack leaves, {result.title}"
        charts.append(bars_chart(name, title, bars, published=marks, first=COLOURS[2]))
    return charts


@_own_charts.register
def _comparison_charts(result: Comparison, number: int) -> list[Chart]:
    charts = []
    for i, (group, outcomes) in enumerate(groups(outcomes_of(result)), 1):
        name = f"{number}-{i}-bars-{slug(group.name)}-{slug(result.title)}"
        attack = _strongest(outcomes)
        hits = [outcome for outcome in outcomes if outcome.column == attack]
        marks = {o.target: o.result.published.value for o in hits if o.result.published}
        bars = [(outcome.target, outcome.accuracy) for outcome in hits]
        title = f"{group.name}: accuracy under {attack[0]}, the strongest of these attacks, "
        charts.append(bars_chart(name, title + result.title, bars, published=marks))
    return charts


@_own_charts.register
def _card_charts(result: Card, number: int) -> list[Chart]:
    """LADDER's accuracy over eps, where the card has it."""
    names = {"hardened": "hardened (transfer)", "vanilla": "vanilla (white-box)"}
    rows = [
        {key: value for key, value in row.items() if isinstance(value, int | float)}
        for row in result.metric_rows.get("accuracy_over_eps", ())
    ]
    if not rows or not all({"eps", *names} <= set(row) for row in rows):
        return []
    series: dict[str, list[tuple[float, Accuracy | float]]] = {
        words: [(row["eps"], row[name]) for row in rows] for name, words in names.items()
    }
    title = f"Accuracy on LADDER examples made on the vanilla model, {result.title}"
    return [lines_chart(f"{number}-ladder-{slug(result.title)}", title, "latent units", series)]


def _all_outcomes(results: Sequence[Result]) -> tuple[Outcome, ...]:
    return tuple(
        outcome
        for result in results
        if isinstance(result, Evaluation | Comparison)
        for outcome in (
            *outcomes_of(result),
            *(worst_cases(result) if isinstance(result, Evaluation) else ()),
        )
    )


def _strongest(outcomes: Sequence[Outcome]) -> tuple[str, ThreatModel]:
    """The column that leaves least on the average."""

    def mean(column: tuple[str, ThreatModel]) -> float:
        values = [outcome.accuracy.value for outcome in outcomes if outcome.column == column]
        return sum(values) / len(values)

    return min(dict.fromkeys(outcome.column for outcome in outcomes), key=mean)


def bars_chart(
    name: str,
    title: str,
    bars: Sequence[tuple[str, Accuracy]],
    *,
    published: dict[str, float] | None = None,
    first: str | None = None,
) -> Chart:
    """Horizontal bars with their 95% intervals.

    Args:
        name, title: of the chart.
        bars: label and accuracy of each, from the top.
        published: a mark on the bar of this label.
        first: colour of the first bar, which is hatched then; None: like all others.
    """
    marks = published or {}
    if len(bars) > _MOST_BARS:
        title = f"{title} ({_MOST_BARS} of {len(bars)}, those that leave least)"
        least = sorted(bars, key=lambda bar: bar[1].value)[:_MOST_BARS]
        bars = [bar for bar in bars if bar in least]

    def draw(axis: Axes) -> None:
        for row, (label, accuracy) in enumerate(bars):
            special = first is not None and row == 0
            value = 100 * accuracy.value
            ends = [[value - 100 * accuracy.low], [100 * accuracy.high - value]]
            axis.barh(
                row, value, height=0.62, color=first if special else COLOURS[0], edgecolor=INK,
                linewidth=0.8, hatch=_HATCHES[1] if special else _HATCHES[0],
                xerr=[[max(0.0, e[0])] for e in ends],
                error_kw={"ecolor": INK, "capsize": 3, "elinewidth": 1.2},
            )  # fmt: skip
            number, end = percent(accuracy.value, accuracy.n), accuracy.high
            if label in marks:
                number, end = f"{number} / {percent(marks[label])}", max(end, marks[label] + 0.01)
            axis.text(100 * end + 1.5, row, number, va="center", fontsize=10)
            if label in marks:
                axis.plot(
                    100 * marks[label], row, marker="D", color=COLOURS[1], markeredgecolor=INK,
                    markersize=7, linestyle="none", label="published (second number)",
                )  # fmt: skip
        axis.set_yticks(range(len(bars)), [_cut(label) for label, _ in bars])
        axis.set_ylim(len(bars) - 0.4, -0.6)
        _percent_axis(axis, "x", "accuracy, % (line: 95% interval)")
        axis.set_xlim(0, 138 if marks else 112)
        axis.set_xticks(range(0, 101, 20))
        _legend_once(axis)

    numbers = "; ".join(f"{label}: {text(accuracy)}" for label, accuracy in bars)
    known = "".join(f"; published for {label}: {percent(v)}" for label, v in marks.items())
    height = 1.1 + 0.36 * len(bars) + (0.3 if marks else 0)
    said = f"Bars, accuracy in percent with 95% interval. {numbers}{known}."
    return Chart(name, title, said, draw, height)


def lines_chart(
    name: str, title: str, unit: str, series: dict[str, list[tuple[float, Accuracy | float]]]
) -> Chart:
    """Accuracy over eps, a line for each classifier or attack.

    Args:
        name, title: of the chart.
        unit: of eps.
        series: name -> points (eps, accuracy); with a ribbon where an interval is known.
    """
    if len(series) > _MOST_LINES:
        title = f"{title} ({_MOST_LINES} of {len(series)} lines, those that fall lowest)"
        lows = {label: min(_value(a) for _, a in points) for label, points in series.items()}
        lowest = sorted(series, key=lambda label: lows[label])[:_MOST_LINES]
        series = {label: points for label, points in series.items() if label in lowest}

    def draw(axis: Axes) -> None:
        for i, (label, points) in enumerate(series.items()):
            colour = COLOURS[i % len(COLOURS)]
            eps = [point[0] for point in points]
            axis.plot(
                eps, [100 * _value(p[1]) for p in points], linestyle=_LINES[i % len(_LINES)],
                marker=_MARKERS[i % len(_MARKERS)], color=colour, markersize=6, label=_cut(label),
            )  # fmt: skip
            known = [(e, a) for e, a in points if isinstance(a, Accuracy)]
            if known:
                axis.fill_between(
                    [e for e, _ in known], [100 * a.low for _, a in known],
                    [100 * a.high for _, a in known], color=colour, alpha=0.22, linewidth=0,
                )  # fmt: skip
        axis.set_xlabel(f"eps ({unit})")
        _percent_axis(axis, "y", "accuracy, %")
        axis.set_ylim(0, 101)
        _legend_once(axis)

    numbers = "; ".join(
        f"{label}: " + ", ".join(f"{text(_cell(a))} at {eps:.4g}" for eps, a in points)
        for label, points in series.items()
    )
    said = f"Lines, accuracy in percent over eps in {unit}. {numbers}."
    return Chart(name, title, said, draw, 3.0 + 0.22 * len(series))


def scatter_chart(name: str, title: str, points: Sequence[tuple[str, Accuracy, Accuracy]]) -> Chart:
    """Clean accuracy against robust accuracy, a numbered point for each classifier.

    Args:
        name, title: of the chart.
        points: classifier, clean accuracy, robust accuracy.
    """

    def draw(axis: Axes) -> None:
        for i, (label, clean, robust) in enumerate(points):
            x, y = 100 * clean.value, 100 * robust.value
            axis.errorbar(
                x, y,
                xerr=[[max(0.0, x - 100 * clean.low)], [max(0.0, 100 * clean.high - x)]],
                yerr=[[max(0.0, y - 100 * robust.low)], [max(0.0, 100 * robust.high - y)]],
                fmt=_MARKERS[i % len(_MARKERS)], color=COLOURS[i % len(COLOURS)], markersize=7,
                markeredgecolor=INK, ecolor=(INK, 0.4), elinewidth=0.7,
                label=f"{i + 1}  {_cut(label)}",
            )  # fmt: skip
        axis.margins(0.12)
        _number(axis, [(100 * clean.value, 100 * robust.value) for _, clean, robust in points])
        axis.set_xlabel("clean accuracy, %")
        _percent_axis(axis, "y", "robust accuracy, %")
        _legend_once(axis)

    numbers = "; ".join(f"{label}: clean {text(c)}, robust {text(r)}" for label, c, r in points)
    said = f"Points, accuracies in percent with 95% intervals. {numbers}."
    return Chart(name, title, said, draw, 3.2 + 0.24 * min(len(points), 8 + len(points) // 4))


def _number(axis: Axes, points: Sequence[tuple[float, float]]) -> None:
    """Writes 1, 2, ... beside points, with a line to those that had to move away."""
    (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
    spots = [
        (_AXES[0] * (x - left) / (right - left), _AXES[1] * (y - low) / (high - low))
        for x, y in points
    ]
    numbers = [str(i) for i in range(1, len(points) + 1)]
    for number, point, move in zip(numbers, points, free_places(spots, numbers), strict=True):
        far = math.hypot(*move) > 12
        axis.annotate(
            number, point, xytext=move, textcoords="offset points", fontsize=9.5,
            ha="center", va="center_baseline",
            arrowprops={"arrowstyle": "-", "linewidth": 0.6, "color": INK} if far else None,
        )  # fmt: skip


def _over_eps(outcomes: Sequence[Outcome]) -> list[Chart]:
    """A chart for each threat model under which some attack ran with several radii."""
    threats: dict[tuple[str, str], dict[str, dict[float, Outcome]]] = {}
    for outcome in outcomes:
        if outcome.eps is not None:
            lines = threats.setdefault((outcome.data, outcome.threat), {})
            name = f"{outcome.target}, {outcome.family}"
            lines.setdefault(name, {})[outcome.eps] = outcome
    charts = []
    for i, ((data, threat), lines) in enumerate(threats.items(), 1):
        series = {label: _from_zero(points) for label, points in lines.items() if len(points) > 1}
        if series:
            title = f"Accuracy over eps on {data}, {threat}"
            name = f"eps-{i}-{slug(threat)}-{slug(data)}"
            charts.append(lines_chart(name, title, "pixel values from 0 to 1", series))
    return charts


def _from_zero(points: dict[float, Outcome]) -> list[tuple[float, Accuracy | float]]:
    """By radius; at radius 0 there is no attack, so the line begins with the clean accuracy."""
    clean = next(iter(points.values())).clean
    by_eps = {eps: outcome.accuracy for eps, outcome in points.items()}
    if clean:
        by_eps[0.0] = clean
    return [(eps, by_eps[eps]) for eps in sorted(by_eps)]


def trade_offs(results: Sequence[Result]) -> list[Chart]:
    """Clean against robust accuracy, a chart for each threat model and data set.

    Each is of the strongest attack that most classifiers met; a single one makes no chart.
    """
    met: dict[tuple[str, str, str, int], dict[str, Outcome]] = {}
    for outcome in _all_outcomes(results):
        if outcome.clean is not None:
            attack = outcome.result.spec or outcome.label
            same = (outcome.data, outcome.threat, attack, outcome.accuracy.n)
            met.setdefault(same, {})[outcome.target] = outcome
    best: dict[tuple[str, str], dict[str, Outcome]] = {}
    for (data, threat, _, _), hits in met.items():
        if len(hits) > 1:
            known = best.get((data, threat))
            if known is None or _rank(hits) < _rank(known):
                best[data, threat] = hits
    charts = []
    for i, ((data, threat), hits) in enumerate(best.items(), 1):
        label = next(iter(hits.values())).label
        points = [(o.target, o.clean, o.accuracy) for o in hits.values() if o.clean]
        title = f"Clean against robust accuracy on {data}: {label}, {threat}"
        charts.append(scatter_chart(f"trade-off-{i}-{slug(threat)}-{slug(data)}", title, points))
    return charts


def _rank(hits: dict[str, Outcome]) -> tuple[int, bool, float]:
    """By classifiers met; attacks with a radius before those without; the strongest first."""
    unbounded = any(outcome.eps is None for outcome in hits.values())
    return -len(hits), unbounded, sum(o.accuracy.value for o in hits.values()) / len(hits)


def _value(accuracy: Accuracy | float) -> float:
    return accuracy.value if isinstance(accuracy, Accuracy) else accuracy


def _cell(accuracy: Accuracy | float) -> Accuracy | str:
    return accuracy if isinstance(accuracy, Accuracy) else percent(accuracy)


def _cut(label: str) -> str:
    """A name short enough for a figure; its end tells names apart, so the middle goes."""
    label = visible(label)
    if len(label) <= _LONGEST:
        return label
    return f"{label[: _LONGEST - 18]}…{label[-17:]}"


def _percent_axis(axis: Axes, which: Literal["x", "y"], label: str) -> None:
    axis.set(**{f"{which}label": label})
    axis.grid(axis=which, color=INK, alpha=0.2, linewidth=0.7)
    axis.set_axisbelow(True)


def _legend_once(axis: Axes) -> None:
    """A legend below the axes, each label once; none where there is nothing to say."""
    handles, labels = axis.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    if named:
        axis.figure.legend(
            list(named.values()), list(named), loc="outside lower left", frameon=False,
            fontsize=9.5, ncols=1 if len(named) <= 8 else 2,
        )  # fmt: skip
