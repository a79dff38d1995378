"""Tables: what stands in them, and that no name breaks out of its format."""

import csv
import io

import pytest

from atk_latent.reporting.result_tables import tables_of
from atk_latent.reporting.tables import (
    Difference,
    SourceInNote,
    Table,
    csv_text,
    latex,
    latex_text,
    markdown,
    markdown_text,
    slug,
    text,
)
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.attack_result import Published
from atk_latent.results.files import read_result
from tests.result_files import version_1

HOSTILE = "a|b & <b>_x_ $y$ \\z #1 {k} 100% ~^"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (None, ""),
        ("word", "word"),
        (Accuracy(value=0.125, low=0.1, high=0.15, n=200), "12.5 [10.0, 15.0]"),
        (Accuracy(value=0.98765, low=0.98, high=0.99, n=10_000), "98.77 [98.00, 99.00]"),
        (Published(value=0.196, source="Table 7"), "19.6 (Table 7)"),
        (SourceInNote(value=0.196, source="Table 7"), "19.6"),
        (Difference(-0.0104), "-1.0"),
        (Difference(0.025), "+2.5"),
        (Difference(-0.0004), "+0.0"),
        (12345, "12,345"),
        (8 / 255, "0.03137"),
    ],
)
def test_a_cell_in_words(cell, shown):
    assert text(cell) == shown


def test_white_box_and_transfer_share_no_table(files):
    white, moved = tables_of(read_result(files["evaluation"]).result, 1)
    assert [row[0] for row in white.rows] == ["none (clean images)", "pgd", "pgd", "cw-l2"]
    assert [row[0] for row in moved.rows] == ["none (clean images)", "pgd"]
    threat = moved.headings.index("threat model")
    assert moved.rows[1][threat] == "transfer from runs/vanilla (white-box there, Linf)"
    assert "published, %" in white.headings and "published, %" not in moved.headings
    assert white.name != moved.name


def test_a_comparison_of_two_kinds_is_two_tables_without_a_common_rank(files):
    white, moved, *_ = tables_of(read_result(files["comparison"]).result, 2)
    assert white.headings == ("method", "clean, %", "PGD-20, %", "s/epoch")
    assert moved.headings == ("method", "clean, %", "moved, %", "s/epoch")
    assert white.rows[0][-1] == 2.0
    assert "PGD-20: white-box, Linf, on 200 images." in white.notes
    assert "A note." in white.notes


def test_a_comparison_of_one_kind_keeps_its_rank(comparison, write):
    for row in comparison["rows"]:
        row["cells"].pop()
    table, ranks = tables_of(read_result(write("c.json", comparison)).result, 1)
    assert table.headings[-2:] == ("average rank", "s/epoch")
    assert [row[-2] for row in table.rows] == [1.0, 2.0]
    assert ranks.headings == ("method", "clean", "PGD-20", "average rank")
    assert ranks.rows == (("PGD & Co", 2.0, 1.0, 1.5), ("Natural", 1.0, 2.0, 1.5))


def test_two_threat_models_never_share_a_column_and_two_defences_do(comparison, write):
    cells = [row["cells"][1] for row in comparison["rows"]]
    static = {"knows_defence": "unaware"}
    for cell, defence in zip(cells, ("imt", "imt+"), strict=True):
        cell["threat_model"] |= {**static, "defence": defence}
    static_table, *_ = tables_of(read_result(write("c.json", comparison)).result, 1)
    assert static_table.headings[2] == "PGD-20, %" and len(static_table.headings) == 4
    assert all(row[2] for row in static_table.rows)
    cells[1]["threat_model"]["norm"] = "l2"
    static_table, *_ = tables_of(read_result(write("c.json", comparison)).result, 1)
    first, second = static_table.headings[2:4]
    assert "Linf" in first and "L2" in second
    assert [[cell is None for cell in row[2:4]] for row in static_table.rows] == [
        [False, True],
        [True, False],
    ]


def test_ranks_are_of_one_kind_each_and_best_first(comparison, write):
    comparison["rows"][1]["cells"][2] |= {"accuracy": 0.9, "low": 0.85, "high": 0.93}
    *_, white, moved = tables_of(read_result(write("c.json", comparison)).result, 1)
    assert white.name != moved.name and white.rows[0][0] == "PGD & Co"
    assert moved.rows == (("Natural", 1.0, 1.0, 1.0), ("PGD & Co", 2.0, 2.0, 2.0))


def test_published_values_stand_beside_ours_and_missing_ones_stay_blank(comparison, write):
    comparison = version_1(comparison, published_source="LADDER, Table 1")
    comparison["rows"][0]["cells"][1]["published"] = 0.56
    comparison["rows"][0]["cells"][0]["published"] = {"value": 0.97, "source": "LADDER, Table 1"}
    comparison["rows"][1]["cells"][1]["published"] = None
    white, moved, *_ = tables_of(read_result(write("c.json", comparison)).result, 1)
    shown = [[text(cell) for cell in row] for row in white.rows]
    assert white.headings[2:7] == (
        *("clean, published, %", "clean, difference"),
        *("PGD-20, %", "PGD-20, published, %", "PGD-20, difference"),
    )
    assert shown[0][2:4] == ["97.0", "-2.0"] and shown[0][5:7] == ["56.0", "-6.0"]
    assert shown[1][2:4] == shown[1][5:7] == ["", ""]
    assert "Published: LADDER, Table 1." in white.notes
    rows = list(csv.reader(io.StringIO(csv_text(white))))
    first = dict(zip(rows[0], rows[1], strict=True))
    assert first["PGD-20, published"] == "0.56" and first["PGD-20, difference"] == "-0.06"
    assert first["PGD-20, published source"] == "LADDER, Table 1"
    for made in (markdown(white), latex(white)):
        assert "-6.0" in made and "LADDER, Table 1" in made
    assert "moved, published, %" not in moved.headings


def test_sources_that_differ_stand_in_their_cells(comparison, write):
    for row, source in zip(comparison["rows"], ("Table 1", "Table 2"), strict=True):
        row["cells"][1]["published"] = {"value": 0.5, "source": source}
    white, *_ = tables_of(read_result(write("c.json", comparison)).result, 1)
    column = white.headings.index("PGD-20, published, %")
    assert [text(row[column]) for row in white.rows] == ["50.0 (Table 1)", "50.0 (Table 2)"]
    assert not any(note.startswith("Published") for note in white.notes)


def test_an_evaluation_says_how_far_it_is_from_what_was_published(files):
    white, _ = tables_of(read_result(files["evaluation"]).result, 1)
    assert [text(row[white.headings.index("difference")]) for row in white.rows] == [
        *("", "", "-4.6", "")
    ]


def test_the_worst_case_stands_below_the_attacks_of_its_kind(files):
    white, moved = tables_of(read_result(files["told"]).result, 1)
    assert white.rows[-1][:2] == ("worst case of 2 attacks", 0.3)
    assert text(white.rows[-1][2]) == "50.0 [18.8, 81.2]"
    assert white.rows[-1][-3] == "fgsm; pgd, steps=20"
    assert any(note.startswith("Worst case: ") for note in white.notes)
    assert [row[0] for row in moved.rows] == ["none (clean images)", "pgd"]


def test_an_audit_says_its_verdicts_in_words(files):
    (table,) = tables_of(read_result(files["audit"]).result, 1)
    assert [row[1] for row in table.rows] == ["passed", "FAILED"]


def test_the_numbers_of_a_run_say_their_threat_model(files):
    numbers, over_eps = tables_of(read_result(files["card"]).result, 1)
    meaning = {row[0]: row[2] for row in numbers.rows}
    assert "no attack" in meaning["clean_accuracy"]
    assert over_eps.headings == ("eps", "vanilla", "hardened")
    assert "transfer" in over_eps.notes[0]


def table(*rows):
    return Table("t", HOSTILE, ("name", "accuracy, %"), rows, (HOSTILE,))


def test_markdown_escapes_and_keeps_its_columns():
    made = markdown(
        table((HOSTILE, Accuracy(value=0.5, low=0.4, high=0.6, n=10)), ("two\nlines", None))
    )
    rows = [line for line in made.splitlines() if line.startswith("|")]
    assert rows[1] == "|---|---:|"
    assert rows[3] == "| two lines |  |"
    bare = rows[2].replace("\\|", "").replace("\\\\", "")
    assert bare.count("|") == 3
    assert "<b>" not in made and "&lt;b\\>" in made
    assert rows[2].endswith("| 50.0 \\[40.0, 60.0] |")


def test_csv_holds_fractions_intervals_and_no_formula():
    cells = (
        ("=HYPERLINK(1)", Accuracy(value=0.5, low=0.4, high=0.6, n=10)),
        ('with "quotes", commas', None),
    )
    rows = list(csv.reader(io.StringIO(csv_text(table(*cells)))))
    assert rows[0] == ["name", "accuracy", "accuracy low", "accuracy high", "accuracy n"]
    assert rows[1] == ["'=HYPERLINK(1)", "0.5", "0.4", "0.6", "10"]
    assert rows[2] == ['with "quotes", commas', "", "", "", ""]


def test_csv_parts_a_published_value_from_its_source():
    made = Table(
        "t", "c", ("a", "published, %"), (("x", Published(value=0.2, source="T7")), ("y", None))
    )
    rows = list(csv.reader(io.StringIO(csv_text(made))))
    assert rows == [["a", "published", "published source"], ["x", "0.2", "T7"], ["y", "", ""]]


def test_latex_escapes_every_special_letter():
    assert latex_text("a_b & 5% #1 $x$ {k}") == r"a\_b \& 5\% \#1 \$x\$ \{k\}"
    assert latex_text("\\~^") == r"\textbackslash{}\textasciitilde{}\textasciicircum{}"
    made = latex(table((HOSTILE, Accuracy(value=0.5, low=0.4, high=0.6, n=10))))
    assert r"\begin{tabular}{lr}" in made
    row = next(line for line in made.splitlines() if "50.0 {[}40.0, 60.0]" in line)
    assert row.replace(r"\&", "").count("&") == 1 and row.endswith(r"\\")


def test_markdown_text_and_slug():
    assert markdown_text("a_b*c _d_ [x](y)") == r"a_b\*c \_d\_ \[x](y)"
    assert slug("Transfer from ../x/Y (Z)") == "transfer-from-x-y-z"
    assert slug("../..") == "untitled"
    assert len(slug("x" * 300)) == 48


def test_long_names_that_begin_alike_give_different_files(evaluation, write):
    for i, attack in enumerate(evaluation["attacks"]):
        attack["threat_model"]["crafted_on"] = f"{'long/' * 30}{i}"
    names = [t.name for t in tables_of(read_result(write("e.json", evaluation)).result, 1)]
    assert len(set(names)) == 4
