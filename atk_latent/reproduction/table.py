"""A table of measured accuracies: its record, its ranks and its Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from atk_latent.atomic import atomic_file, write_json
from atk_latent.data.dataset import Dataset
from atk_latent.evaluation.ranking import average_ranks
from atk_latent.evaluation.result import AttackResult, provenance, versions
from atk_latent.reporting.tables import slug
from atk_latent.results.accuracy import Accuracy


@dataclass(frozen=True)
class Column:
    """One attack of a table.

    Args:
        label: what the table calls it.
        spec: the attack, as for `atkl evaluate`; None is no attack.
        limit: the first so many test images; None takes all.
    """

    label: str
    spec: str | None
    limit: int | None = None


def cell(
    attack: str,
    found: Accuracy | AttackResult,
    *,
    threat: str = "none",
    seconds: float = 0.0,
    published: tuple[float, str] | None = None,
) -> dict[str, Any]:
    """One measured accuracy.

    Args:
        attack: label of its column. found: what was measured.
        threat: what the attacker knows; that of an `AttackResult` wins.
        seconds: it took. published: the fraction printed elsewhere, and where.
    """
    if isinstance(found, AttackResult):
        value, threat, seconds = found.robust_accuracy, found.threat, found.seconds
    else:
        value = found.value
    made: dict[str, Any] = {"attack": attack, "threat": threat, "accuracy": value}
    made |= {"low": found.low, "high": found.high, "n": found.n, "seconds": seconds}
    if published:
        made["published"] = {"value": published[0], "source": published[1]}
    return made


def write_table(
    folder: Path,
    *,
    title: str,
    dataset: Dataset,
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, Any]],
    notes: Sequence[str],
    seed: int,
    name: str = "result",
    ranked: bool = True,
) -> dict[str, Any]:
    """Ranks the rows, and leaves `NAME.json` and `NAME.md` (`table.md` for `result`).

    The cards of the rows' runs, in words, are copied into `cards/`.

    Args:
        folder: where. title: heads the table. dataset: what it was measured on.
        columns: in order. rows: each with `label` and `cells`; a cell may be missing.
        notes: lines below the table. seed: of all that was drawn.
        name: of the two files.
        ranked: whether an average over the columns makes sense; the paper's rule.

    Returns:
        The record, a comparison (`reporting/schemas/`).
    """
    labels = [column.label for column in columns]
    found = {row["label"]: {c["attack"]: c["accuracy"] for c in row["cells"]} for row in rows}
    ranks = average_ranks({row: [of.get(name) for name in labels] for row, of in found.items()})
    record = {
        **provenance("comparison"),
        "title": title,
        "data": dataset.name,
        "data_fingerprint": dataset.fingerprint(),
        "columns": [asdict(column) for column in columns],
        "rows": [{**row, "rank": ranks[row["label"]] if ranked else None} for row in rows],
        "notes": list(notes),
        "seed": seed,
        "versions": versions(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        _copy_card(row, folder / "cards")
    write_json(folder / f"{name}.json", record)
    with atomic_file(folder / f"{'table' if name == 'result' else name}.md") as part:
        part.write_text(markdown(record), encoding="utf-8")
    return record


def _copy_card(row: Mapping[str, Any], folder: Path) -> None:
    card = Path(row["run"], "card.md") if row.get("run") else None
    if card and card.exists():
        folder.mkdir(exist_ok=True)
        with atomic_file(folder / f"{slug(card.parent.name)}.md") as part:
            part.write_text(card.read_text(encoding="utf-8"), encoding="utf-8")


def markdown(record: Mapping[str, Any]) -> str:
    """The record as a Markdown table, in percent; published values stand in brackets."""
    heads = [
        column["label"] + (f" ({column['limit']})" if column["limit"] else "")
        for column in record["columns"]
    ]
    timed = any(row.get("training") and row.get("epochs") for row in record["rows"])
    ranked = any(row["rank"] is not None for row in record["rows"])
    ends = [*(["s/epoch"] if timed else []), *(["average rank"] if ranked else [])]
    lines = [f"# {record['title']}", "", f"| method | {' | '.join([*heads, *ends])} |"]
    lines.append("|---|" + "---|" * len([*heads, *ends]))
    for row in record["rows"]:
        by_attack = {made["attack"]: made for made in row["cells"]}
        texts = [_text(by_attack.get(column["label"])) for column in record["columns"]]
        pace = f"{row['training'] / row['epochs']:.1f}" if row.get("training") else ""
        texts += [*([pace] if timed else []), *([f"{row['rank']:.2f}"] if ranked else [])]
        lines.append(f"| {row['label']} | {' | '.join(texts)} |")
    threats: dict[str, list[str]] = {}
    for made in (c for row in record["rows"] for c in row["cells"] if c["threat"] != "none"):
        names = threats.setdefault(made["threat"], [])
        names += [made["attack"]] if made["attack"] not in names else []
    lines += ["", *(f"- {', '.join(names)}: {threat}." for threat, names in threats.items())]
    lines += [f"- {note}" for note in record["notes"]]
    made = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    lines.append(f"- Data {record['data']} ({record['data_fingerprint']}), seed {record['seed']}.")
    return "\n".join([*lines, f"- {made}.", ""])


def _text(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    text = f"{100 * found['accuracy']:.1f} ± {50 * (found['high'] - found['low']):.1f}"
    if "published" in found:
        text += f" [{100 * found['published']['value']:.2f}]"
    return text
