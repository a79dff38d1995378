"""A report: everything that result files say, as one page, as Markdown and as files."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atk_latent import __version__
from atk_latent.atomic import atomic_folder
from atk_latent.errors import visible
from atk_latent.progress import Progress
from atk_latent.reporting import model_card
from atk_latent.reporting.example_panels import CHANGE, MOST_PANELS, Panel, example_panels
from atk_latent.reporting.leaderboard import Leaderboard, leaderboard_of
from atk_latent.reporting.leaderboard_chart import scatter_of
from atk_latent.reporting.leaderboard_data import script_data
from atk_latent.reporting.outcomes import outcomes_of
from atk_latent.reporting.plots import MANY, Chart, charts_of, ink_on
from atk_latent.reporting.result_tables import tables_of
from atk_latent.reporting.tables import (
    Table,
    csv_text,
    interval,
    latex,
    markdown,
    markdown_text,
    percent,
    slug,
    text,
)
from atk_latent.reporting.verdicts import Verdict, verdicts_of, with_audits
from atk_latent.results.audit import Audit, Check
from atk_latent.results.card import Card
from atk_latent.results.comparison import Comparison
from atk_latent.results.evaluation import Evaluation
from atk_latent.results.files import Result, ResultFile
from atk_latent.results.provenance import Measured
from atk_latent.results.threat import ThreatGroup

_SHADES = 10  # steps of a shaded table
WIDE = 10  # columns; the rows of a table with more are set as lists, near it in small letters


@dataclass(frozen=True)
class Part:
    """One result file in the report.

    Args:
        heading: of its section. anchor: in the page.
        facts: what was measured on what. tables: of it.
        card: sections, for a run. panels: one an attack, where the file holds what became
            of the images. checks: of an audit.
    """

    heading: str
    anchor: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    card: tuple[model_card.Section, ...] = ()
    panels: tuple[Panel, ...] = ()
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Report:
    """All parts, verdicts and figures.

    Args:
        title: of the page. parts: one a file. charts: figures of all of them.
        verdicts: one an evaluation, comparison or audit. groups: of threat models, explained.
        leaderboard: models side by side; None where there are fewer than two.
    """

    title: str
    parts: tuple[Part, ...]
    charts: tuple[Chart, ...]
    verdicts: tuple[Verdict, ...]
    groups: tuple[ThreatGroup, ...]
    leaderboard: Leaderboard | None = None

    @property
    def tables(self) -> tuple[Table, ...]:
        """Of the leaderboard and all parts."""
        panels = [panel.table for part in self.parts for panel in part.panels]
        return (
            *(self.leaderboard.tables if self.leaderboard else ()),
            *(table for part in self.parts for table in part.tables),
            *(table for table in panels if table is not None),
        )

    @property
    def figures(self) -> tuple[Chart, ...]:
        """The charts and those of the panels."""
        panels = (panel for part in self.parts for panel in part.panels)
        return (*self.charts, *(chart for panel in panels for chart in panel.charts))


def make_report(files: Sequence[ResultFile], title: str = "Robustness report") -> Report:
    """Puts result files together.

    Args:
        files: as `read_results` returns them.
        title: of the page.
    """
    results = [file.result for file in files]
    parts = tuple(
        _part(file.result, number, str(file.path)) for number, file in enumerate(files, 1)
    )
    parts = _with_fewer_panels(parts)
    audits = [result for result in results if isinstance(result, Audit)]
    verdicts = with_audits([v for result in results for v in verdicts_of(result)], audits)
    attacked = [result for result in results if isinstance(result, Evaluation | Comparison)]
    seen = {outcome.group: None for result in attacked for outcome in outcomes_of(result)}
    board = leaderboard_of(files, [part.anchor for part in parts])
    return Report(title, parts, charts_of(results), verdicts, tuple(seen), board)


def _with_fewer_panels(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """About `MOST_PANELS` in all, of each part as many: those of its strongest attacks.

    Of many files none has figures of its own.
    """
    with_panels = sum(bool(part.panels) for part in parts)
    most = max(1, MOST_PANELS // max(1, with_panels))
    kept = []
    for part in parts:
        panels = sorted(part.panels, key=lambda panel: not panel.first)[:most]
        few = [panel for panel in part.panels if panel in panels]
        if len(parts) > MANY:
            few = [replace(panel, charts=()) for panel in few]
        kept.append(replace(part, panels=tuple(few)))
    return tuple(kept)


def write_report(report: Report, folder: Path, progress: Progress | None = None) -> list[Path]:
    """Writes a report into a new folder, whole or not at all.

    The folder holds `index.html`, which needs nothing else, `report.md`, `card-N.md` for
    each run, `tables/*.csv`, `tables/*.tex`, `figures/*.svg` and `figures/*.png`.

    Args:
        report: what to write. folder: absent or empty.
        progress: told how many of the files are ready.

    Returns:
        The files, `index.html` first.

    Raises:
        InputError: if the folder holds something already or cannot be made.
    """
    files: dict[str, str | bytes] = {"index.html": html(report), "report.md": markdown_page(report)}
    for part in report.parts:
        if part.card:
            files[f"{part.anchor}.md"] = model_card.markdown(part.card, part.heading)
    for table in report.tables:
        files[f"tables/{table.name}.csv"] = csv_text(table)
        files[f"tables/{table.name}.tex"] = latex(table)
    for done, chart in enumerate(report.figures, 1):
        if progress:
            progress("report, figures", done, len(report.figures))
        files[f"figures/{chart.name}.svg"] = chart.svg(alone=True)
        files[f"figures/{chart.name}.png"] = chart.image("png")
    with atomic_folder(folder) as part_folder:
        for name, content in files.items():
            path = part_folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return [folder / name for name in files]


def html(report: Report) -> str:
    """The report as one HTML page without anything from a network.

    Its one script, of the leaderboard, is the only one that the page's policy lets run: it is
    named there by its hash. All of the page is there without it.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = PackageLoader("atk_latent.reporting")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": text, "shade": _shade, "percent": percent}
    environment.globals |= {"wide": WIDE, "scatter_of": scatter_of}
    page = environment.get_template("report.html.jinja")
    script = loader.get_source(environment, "report.js")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    known = script_data(report.leaderboard) if report.leaderboard else ""
    return page.render(
        report=report,
        version=__version__,
        shades=_shades_css(),
        change=CHANGE,
        interval=interval,
        many=len(report.parts) > MANY,
        fold_verdicts=report.leaderboard is not None and len(report.verdicts) > MANY,
        script=Markup(script),
        script_data=Markup(known),
        script_hash=f"sha256-{digest}",
    )


def _visible(value: object) -> object:
    """What the page shows; text that is no HTML yet with no character that a reader obeys."""
    return visible(value) if type(value) is str else value


def _shade(share: float | None) -> str:
    """The class of a shaded cell: "shade-0" to "shade-10"; none where there is no share."""
    if share is None:
        return ""
    return f"shade-{max(1, round(_SHADES * share)) if share else 0}"


def _shades_css() -> str:
    """Rules for shaded cells: cividis away from the ground, light or dark."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    def rules(colours: str, least: float) -> str:
        lines = []
        for step in range(1, _SHADES + 1):
            colour = colormaps[colours](least + (1 - least) * step / _SHADES)[:3]
            lines += [f".shade-{step}{{background:{to_hex(colour)};color:{ink_on(colour)}}}"]
        return "".join(lines)

    dark = rules("cividis", 0.15)
    return f"{rules('cividis_r', 0.0)}\n@media (prefers-color-scheme: dark){{{dark}}}"


def markdown_page(report: Report) -> str:
    """The report as Markdown; its figures are the files beside it."""
    lines = [f"# {markdown_text(report.title)}", ""]
    ranked = report.leaderboard.tables if report.leaderboard else ()
    lines += [f"{markdown(table)}\n" for table in ranked]
    for verdict in report.verdicts:
        words = " ".join(filter(None, (verdict.says, verdict.means, verdict.doubt)))
        words = f"{words} {verdict.not_means}"
        lines += [f"- **{verdict.word}. {markdown_text(verdict.about)}.** {markdown_text(words)}"]
    for part in report.parts:
        facts = "; ".join(f"{name}: {value}" for name, value in part.facts)
        if part.card:
            lines += ["", model_card.markdown(part.card, part.heading, level=2), ""]
        else:
            lines += ["", f"## {markdown_text(part.heading)}", ""]
            lines += [f"{markdown(table)}\n" for table in part.tables]
            lines += [_panel_markdown(panel) for panel in part.panels]
        lines += [f"{markdown_text(facts)}."]
    if report.charts:
        lines += ["", "## Figures"]
    for chart in report.charts:
        alternative = markdown_text(f"{chart.title}. {chart.description}")
        lines += ["", f"![{alternative}](figures/{chart.name}.svg)"]
    if report.groups:
        lines += ["", "## Threat models", ""]
        lines += [f"- {markdown_text(group.name)}: {markdown_text(group.meaning)}"
                  for group in report.groups]  # fmt: skip
    return "\n".join([*lines, "", f"Made by atk_latent {__version__}.", ""])


def _panel_markdown(panel: Panel) -> str:
    lines = [f"### {markdown_text(panel.title)} ({markdown_text(panel.threat)})", ""]
    if panel.triples and panel.charts:
        chart = panel.charts[0]
        lines += [f"![{markdown_text(chart.title)}](figures/{chart.name}.png)", "", CHANGE, ""]
        lines += [*(f"- {markdown_text(triple.text)}." for triple in panel.triples), ""]
    if panel.table:
        lines += [markdown(panel.table)]
    return "\n".join(lines)


def _facts(result: Measured, file: str, *own: tuple[str, object]) -> tuple[tuple[str, str], ...]:
    """Facts of a result: its own that it has, then those that every file has."""
    packages = ", ".join(f"{name} {number}" for name, number in result.versions.items())
    shared = (("seed", result.seed), ("versions", packages))
    place = (("date", result.date), ("file", file))
    first, rest = own[:3], own[3:]
    rows = (*first, *place, *rest, *shared)
    return tuple((name, str(value)) for name, value in rows if value is not None)


@functools.singledispatch
def _part(result: Result, number: int, file: str) -> Part:
    """The part of a result; `number` is its own in the report, `file` its path."""
    raise NotImplementedError(f"no part of {type(result).__name__}")


@_part.register
def _evaluation_part(result: Evaluation, number: int, file: str) -> Part:
    facts = _facts(
        result,
        file,
        ("target", result.target),
        ("data", result.data),
        ("images", f"{result.n:,}"),
        ("suite", result.suite),
        ("left out of it", "; ".join(result.skipped) or None),
        ("defence at prediction time", result.inference),
    )
    return Part(
        f"Evaluation: {result.title}",
        f"result-{number}",
        facts,
        tables_of(result, number),
        panels=example_panels(result, number),
    )


@_part.register
def _audit_part(result: Audit, number: int, file: str) -> Part:
    facts = _facts(
        result,
        file,
        ("target", result.target),
        ("data", result.data),
        ("images", f"{result.n:,}"),
        ("defence at prediction time", result.inference),
    )
    tables = tables_of(result, number)
    heading, anchor = f"Audit: {result.title}", f"result-{number}"
    return Part(heading, anchor, facts, tables, checks=result.checks)


@_part.register
def _comparison_part(result: Comparison, number: int, file: str) -> Part:
    return Part(result.title, f"result-{number}", _facts(result, file), tables_of(result, number))


@_part.register
def _card_part(result: Card, number: int, file: str) -> Part:
    anchor = f"card-{number}-{slug(result.title)}"
    return Part(
        model_card.title(result),
        anchor,
        (("date", result.date), ("file", file)),  # a card has a table of the others
        tables_of(result, number),
        model_card.sections(result, anchor),
    )
