"""A report: everything that result files say, as one page, as Markdown and as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atk_latent import __version__
from atk_latent.atomic import atomic_folder
from atk_latent.reporting import model_card
from atk_latent.reporting.looks import CHANGE, Look, looks_of
from atk_latent.reporting.outcomes import worst_cases
from atk_latent.reporting.plots import Chart, charts_of, ink_on
from atk_latent.reporting.results import (
    Audit,
    Comparison,
    Evaluation,
    Kind,
    Measurement,
    Result,
    Run,
    kinds,
)
from atk_latent.reporting.tables import (
    Table,
    csv_text,
    interval,
    latex,
    markdown,
    markdown_text,
    percent,
    slug,
    tables_of,
    text,
)
from atk_latent.results.accuracy import Accuracy

UPPER_BOUND = (
    "It is an upper bound: a stronger attack may leave less, and it holds for this threat "
    "model and data only."
)


_SHADES = 10  # steps of a shaded table
_WORDS = {"bad": "Not robust", "fair": "Partly robust", "good": "Held", "open": "Not known"}


@dataclass(frozen=True)
class Verdict:
    """What a result comes to, in plain words.

    Args:
        about: the target and data.
        tone: "bad", "fair", "good" or "open": nothing is known.
        says: the finding. means: what follows. not_means: what does not.
        called: the tone in a word, where it is not that of an attack.
        headline: the robust accuracy, where there is one to show.
    """

    about: str
    tone: str
    says: str
    means: str
    not_means: str
    called: str = ""
    headline: Accuracy | None = None

    @property
    def word(self) -> str:
        """The tone as a word, beside its icon."""
        return self.called or _WORDS[self.tone]


@dataclass(frozen=True)
class Part:
    """One result file in the report.

    Args:
        result: the file. anchor: in the page. facts: what was measured on what.
        tables: of it. card: sections, for a run. looks: at each attack, where the file
            holds what became of the images.
    """

    result: Result
    anchor: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    card: tuple[model_card.Section, ...] = ()
    looks: tuple[Look, ...] = ()

    @property
    def heading(self) -> str:
        """Of its section."""
        if isinstance(self.result, Run):
            return model_card.title(self.result.record)
        names = {Evaluation: "Evaluation: ", Audit: "Audit: "}
        return names.get(type(self.result), "") + self.result.title

    @property
    def is_audit(self) -> bool:
        """Whether it holds checks."""
        return isinstance(self.result, Audit)


@dataclass(frozen=True)
class Report:
    """All parts, verdicts and figures.

    Args:
        title: of the page. parts: one a file. charts: figures of all of them.
        verdicts: one an evaluation, comparison or audit. kinds: of threat, explained.
    """

    title: str
    parts: tuple[Part, ...]
    charts: tuple[Chart, ...]
    verdicts: tuple[Verdict, ...]
    kinds: tuple[Kind, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """Of all parts."""
        looks = [look.table for part in self.parts for look in part.looks]
        return (
            *(table for part in self.parts for table in part.tables),
            *(table for table in looks if table is not None),
        )

    @property
    def figures(self) -> tuple[Chart, ...]:
        """The charts and those of the looks."""
        looks = (chart for part in self.parts for look in part.looks for chart in look.charts)
        return (*self.charts, *looks)


def make_report(results: Sequence[Result], title: str = "Robustness report") -> Report:
    """Puts result files together.

    Args:
        results: as `read_results` gives them.
        title: of the page.
    """
    parts = tuple(_part(result, number) for number, result in enumerate(results, 1))
    verdicts = tuple(verdict for result in results for verdict in _verdicts(result))
    seen = {m.kind: None for r in results for m in _measurements(r)}
    return Report(title, parts, charts_of(results), verdicts, tuple(seen))


def write_report(report: Report, folder: Path) -> list[Path]:
    """Writes a report into a new folder, whole or not at all.

    The folder holds `index.html`, which needs nothing else, `report.md`, `card-N.md` for
    each run, `tables/*.csv`, `tables/*.tex`, `figures/*.svg` and `figures/*.png`.

    Args:
        report: what to write. folder: absent or empty.

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
    for chart in report.figures:
        files[f"figures/{chart.name}.svg"] = chart.svg(alone=True)
        files[f"figures/{chart.name}.png"] = chart.image("png")
    with atomic_folder(folder) as part_folder:
        for name, content in files.items():
            path = part_folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return [folder / name for name in files]


def html(report: Report) -> str:
    """The report as one HTML page without scripts and without anything from a network."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("atk_latent.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": text, "shade": _shade, "percent": percent}
    page = environment.get_template("report.html.jinja")
    return page.render(
        report=report, version=__version__, shades=_shades_css(), change=CHANGE, interval=interval
    )


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
    for verdict in report.verdicts:
        said = " ".join((verdict.says, verdict.means, verdict.not_means))
        lines += [f"- **{verdict.word}. {markdown_text(verdict.about)}.** {markdown_text(said)}"]
    for part in report.parts:
        facts = "; ".join(f"{name}: {value}" for name, value in part.facts)
        if part.card:
            lines += ["", model_card.markdown(part.card, part.heading, level=2), ""]
        else:
            lines += ["", f"## {markdown_text(part.heading)}", ""]
            lines += [f"{markdown(table)}\n" for table in part.tables]
            lines += [_look_markdown(look) for look in part.looks]
        lines += [f"{markdown_text(facts)}."]
    if report.charts:
        lines += ["", "## Figures"]
    for chart in report.charts:
        alternative = markdown_text(f"{chart.title}. {chart.description}")
        lines += ["", f"![{alternative}](figures/{chart.name}.svg)"]
    if report.kinds:
        lines += ["", "## Threat models", ""]
        lines += [f"- {markdown_text(kind.name)}: {markdown_text(kind.meaning)}"
                  for kind in report.kinds]  # fmt: skip
    return "\n".join([*lines, "", f"Made by atk_latent {__version__}.", ""])


def _look_markdown(look: Look) -> str:
    lines = [f"### {markdown_text(look.title)} ({markdown_text(look.threat)})", ""]
    if look.triples:
        chart = look.charts[0]
        lines += [f"![{markdown_text(chart.title)}](figures/{chart.name}.png)", "", CHANGE, ""]
        lines += [*(f"- {markdown_text(triple.text)}." for triple in look.triples), ""]
    if look.table:
        lines += [markdown(look.table)]
    return "\n".join(lines)


def _part(result: Result, number: int) -> Part:
    record = result.record
    facts: list[tuple[str, Any]] = [("date", result.date), ("file", result.path)]
    if "n" in record:
        facts.insert(0, ("images", f"{record['n']:,}"))
    if "target" in record:
        facts = [("target", record["target"]), ("data", record["data"]), *facts]
    if record.get("suite"):
        facts.append(("suite", record["suite"]))
    if record.get("skipped"):
        facts.append(("left out of it", "; ".join(record["skipped"])))
    if "inference" in record:
        facts.append(("defence at prediction time", record["inference"]))
    if not isinstance(result, Run):  # a card has a table of them
        packages = (f"{name} {number}" for name, number in record["versions"].items())
        facts += [("seed", record["seed"]), ("versions", ", ".join(packages))]
    anchor = f"result-{number}"
    card: tuple[model_card.Section, ...] = ()
    if isinstance(result, Run):
        anchor = f"card-{number}-{slug(result.title)}"
        card = model_card.sections(record, result.overrides, anchor)
    shown = tuple((name, str(value)) for name, value in facts)
    looks = looks_of(result, number) if isinstance(result, Evaluation) else ()
    return Part(result, anchor, shown, tables_of(result, number), card, looks)


def _measurements(result: Result) -> tuple[Measurement, ...]:
    return result.measurements if isinstance(result, Evaluation | Comparison) else ()


def _verdicts(result: Result) -> list[Verdict]:
    if isinstance(result, Audit):
        return [_audit_verdict(result)]
    if isinstance(result, Evaluation):
        return [attack_verdict(result.title, result.measurements, worst_cases(result))]
    if isinstance(result, Comparison):
        return _comparison_verdicts(result)
    return []


def attack_verdict(
    about: str, found: Sequence[Measurement], together: Sequence[Measurement] = ()
) -> Verdict:
    """What the strongest attack on the deployed thing itself left, in plain words.

    Where the file says what became of each image, that is the worst case over attacks, image
    by image, of one kind of threat, one norm and one radius.

    Attacks without a bound are told only where there is no other: given room enough, every
    classifier falls. Static and transfer attacks are told only where nothing attacked what is
    deployed, and then as the open question that they leave.

    Args:
        about: target and data. found: all attacks on it. together: their worst cases.
    """
    direct = [m for m in (*together, *found) if m.kind.direct]  # of equals, the worst case
    if not found:
        says = "No attack was run."
        return Verdict(about, "open", says, "Nothing is known of its robustness.", "")
    worst = _strongest(direct or found)
    clean = (
        f"; without attack {percent(worst.clean.value, worst.clean.n)}% {interval(worst.clean)}"
        if worst.clean
        else ""
    )
    left_right = (
        f"{percent(worst.accuracy.value, worst.accuracy.n)}% {interval(worst.accuracy)} of "
        f"{worst.accuracy.n:,} images"
    )
    if worst.of:
        says = (
            f"Robust accuracy, the worst case over attacks: {left_right} survive every one of "
            f"{len(worst.of)} attacks ({worst.threat}, eps {worst.eps:.4g}): "
            f"{worst.settings}{clean}."
        )
    else:
        attack = f"The strongest attack tried, {worst.shown} ({worst.threat}), leaves"
        says = f"{attack} {left_right} right{clean}."
    if not direct:
        means = "Nothing attacked the model as it is deployed; who knows it may do far better."
        return Verdict(about, "open", says, means, f"This is no robust accuracy. {UPPER_BOUND}")
    left = worst.accuracy.value / worst.clean.value if worst.clean and worst.clean.value else 0.0
    if left < 0.1:
        tone, share = "bad", "nearly every image that the model gets right"
    elif left < 0.5:
        tone, share = "bad", "most images that the model gets right"
    elif left < 0.9:
        tone, share = "fair", "a part of the images that the model gets right"
    else:
        tone, share = "good", "few of the images that the model gets right"
    means = f"Such an attacker breaks {share}."
    headline = None if worst.eps is None else worst.accuracy  # else no radius, no robustness
    return Verdict(about, tone, says, means, UPPER_BOUND, headline=headline)


def _strongest(found: Sequence[Measurement]) -> Measurement:
    """What left least; attacks without a bound count only where there is no other."""
    bounded = [m for m in found if m.eps is not None] or found
    return min(bounded, key=lambda m: m.accuracy.value)


def _comparison_verdicts(result: Comparison) -> list[Verdict]:
    """The method whose worst direct number is best, one for each kind of threat."""
    verdicts = []
    for kind, found in kinds(result.measurements):
        rows: dict[str, list[Measurement]] = {}
        for m in found:
            rows.setdefault(m.target, []).append(m)
        worst = {name: _strongest(ms) for name, ms in rows.items()}
        best = max(worst, key=lambda name: worst[name].accuracy.value)
        verdict = attack_verdict(f"{best}, best of {len(rows)} on {result.title}", rows[best])
        note = f"{kind.name} attacks: of all rows, {best} keeps most under its strongest attack."
        verdicts.append(
            Verdict(
                verdict.about,
                verdict.tone,
                f"{note} {verdict.says}",
                verdict.means,
                f"Intervals that overlap rank nothing. {verdict.not_means}",
                headline=verdict.headline,
            )  # fmt: skip
        )
    return verdicts


def _audit_verdict(audit: Audit) -> Verdict:
    checks: list[Any] = audit.record["checks"]
    failed = [check["name"] for check in checks if not check["passed"]]
    about = f"Audit of {audit.title}"
    if failed:
        says = f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}."
        means = "Its robust accuracies may come from attacks that failed, not from robustness."
        return Verdict(about, "bad", says, means, "", "Failed")
    says = f"All {len(checks)} checks passed."
    means = "No sign of masked gradients was found."
    return Verdict(about, "good", says, means, "That is no proof of robustness.", "Passed")
