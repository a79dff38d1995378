"""The leaderboard: one row a model, one table a threat, worst cases image by image."""

import base64
import json

import numpy as np
import pytest

from atk_latent.reporting.leaderboard_chart import scatter_of
from atk_latent.reporting.leaderboard_data import script_data
from atk_latent.reporting.page import html, make_report, markdown_page
from atk_latent.results.files import read_results
from tests.result_files import (
    CLEAN,
    FIRST,
    LABELS,
    SECOND,
    TRANSFER,
    WHITE,
    attacked,
    audit_record,
    ball,
    card_record,
    comparison_record,
    evaluated,
    told,
    told_record,
)

LINF = ball(WHITE, 0.3)


def evaluation_of(target, *attacks, **more):
    """Six images of which the file says what became of each."""
    more = {"labels": tuple(LABELS), "clean_predictions": tuple(CLEAN), **more}
    return evaluated(target, "toy", (5, 6), attacks, class_names=("cat", "dog", "fox"), **more)


FGSM, PGD = told("fgsm:eps=0.3", LINF, FIRST), told("pgd:eps=0.3", LINF, SECOND)


@pytest.fixture
def board_of(write):
    """The report of records, written to files first."""

    def made(*records):
        paths = [write(f"r{i}/r{i}.json", record) for i, record in enumerate(records)]
        return make_report(read_results(paths))

    return made


def rows(report, board=0):
    return {row.model.name: row for row in report.leaderboard.boards[board].rows}


def test_a_row_is_the_share_that_survives_every_attack(board_of):
    report = board_of(evaluation_of("runs/a", FGSM, PGD), evaluation_of("runs/b", FGSM))
    (board,) = report.leaderboard.boards
    assert [row.model.name for row in board.rows] == ["runs/b", "runs/a"]  # keeps most first
    both = rows(report)["runs/a"]
    assert both.worst.value == 3 / 6  # survivors 0 2 3 4 and 0 1 3 4
    assert list(np.flatnonzero(both.survivors)) == [0, 3, 4] and both.attacks == 2
    assert rows(report)["runs/b"].worst.value == 4 / 6
    assert board.table.notes[0].startswith("Worst case: the share of images that survive every")


def test_attacks_of_two_files_on_the_same_images_are_joined(board_of):
    other = evaluation_of("runs/b", FGSM)
    report = board_of(
        evaluation_of("runs/a", FGSM), evaluation_of("./runs/a/model.keras", PGD), other
    )
    row = rows(report)["runs/a"]
    assert (row.worst.value, row.attacks, row.joined) == (3 / 6, 2, 2)
    moved = evaluation_of("runs/a", PGD) | {"seed": 4}  # a limit chose other images
    report = board_of(evaluation_of("runs/a", FGSM), moved, other)
    row = rows(report)["runs/a"]
    assert (row.worst.value, row.attacks, row.joined) == (4 / 6, 2, 1)
    (note,) = [note for note in report.leaderboard.boards[0].table.notes if "runs/a" in note]
    assert "of 1 of its 2 attacks" in note


def test_without_predictions_the_lowest_attack_stands_for_the_worst_case(board_of):
    attacks = [attacked("pgd:eps=0.3", LINF, 80), attacked("fgsm:eps=0.3", LINF, 90)]
    report = board_of(
        evaluated("runs/a", "toy", (180, 200), attacks), evaluation_of("runs/b", FGSM)
    )
    row = rows(report)["runs/a"]
    assert row.worst.value == 0.4 and row.survivors is None and row.strongest == "pgd"
    assert report.leaderboard.boards[0].duels is None


def test_two_threats_never_share_a_table(board_of):
    attacks = [told("pgd:eps=0.3", threat, FIRST) for threat in (
        LINF, ball(WHITE, 0.1), ball(TRANSFER, 0.3),
        LINF.model_copy(update={"norm": "l2"}),
        LINF.model_copy(update={"knows_defence": "unaware", "defence": "imt"}),
        LINF.model_copy(update={"access": "score-based"}),
    )]  # fmt: skip
    elsewhere = evaluation_of("runs/a", PGD) | {"data": "other"}
    report = board_of(
        evaluation_of("runs/a", *attacks), evaluation_of("runs/b", *attacks), elsewhere
    )
    threats = [board.threat for board in report.leaderboard.boards]
    assert len(set(threats)) == len(threats) == 7
    assert [len(board.rows) for board in report.leaderboard.boards] == [2, 2, 2, 2, 1, 2, 2]
    assert [threat.group.is_direct for threat in threats] == [True] * 5 + [False] * 2
    for board in report.leaderboard.boards[5:]:
        assert any("No robust accuracy" in note for note in board.table.notes)


def test_what_met_no_attack_with_a_radius_is_named_outside(board_of):
    minimal = told("cw-l2", WHITE, FIRST)
    records = [evaluation_of(f"runs/{name}", FGSM) for name in "ab"]
    report = board_of(*records, evaluation_of("runs/c", minimal), evaluation_of("runs/d"))
    assert report.leaderboard.unranked == ("runs/c", "runs/d")
    assert "runs/c; runs/d" in html(report)


def test_a_failed_audit_is_marked_in_the_row_and_a_passed_one_said(board_of):
    audit = audit_record() | {"data": "toy", "target": "runs/a"}
    passed = {**audit, "target": "runs/b", "passed": True, "checks": audit["checks"][:1]}
    other = audit | {"target": "runs/c", "inference": "imt"}  # of another deployment
    records = [evaluation_of(f"runs/{name}", FGSM) for name in "abc"]
    report = board_of(*records, audit, passed, other)
    marks = {name: (row.marks, row.audit_failed) for name, row in rows(report).items()}
    assert marks == {
        "runs/a": ("audit FAILED: restarts", True),
        "runs/b": ("audit passed", False),
        "runs/c": ("", False),
    }
    source = html(report)
    assert source.count('class="point failed"') == 1 and "A hollow point failed" in source
    assert "audit FAILED: restarts" in markdown_page(report)


def test_a_row_leads_to_the_card_of_its_run_and_back(write):
    paths = [write("e.json", evaluation_of("runs/a", FGSM))]
    paths += [write("f.json", evaluation_of("elsewhere/b/model.keras", FGSM))]
    paths += [write("x/card.json", card_record())]  # runs/a by what it says
    paths += [write("elsewhere/b/card.json", card_record() | {"run": None})]
    report = make_report(read_results(paths))
    by_name = rows(report)
    assert by_name["runs/a"].card_anchor == "card-3-ladder-on-mnist"
    source = html(report)
    for row in by_name.values():
        assert f'<tr role="row" id="{row.anchor}">' in source
        assert f'href="#{row.page_anchor}">{row.model.name}' in source
        section = source.partition(f'<h2 id="{row.page_anchor}">')[2].partition("</section>")[0]
        assert f'class="back" href="#{row.anchor}"' in section


def test_a_link_target_depends_on_its_row_alone(board_of):
    records = [evaluation_of(name, FGSM, PGD) for name in ("runs/a", "runs-a", "runs/ä")]
    first, again = board_of(*records), board_of(told_record(), *records[::-1])
    anchors = {name: row.anchor for name, row in rows(first).items()}
    assert len(set(anchors.values())) == 3
    assert all(anchor.startswith("model-runs-") for anchor in anchors.values())
    assert anchors.items() <= {name: row.anchor for name, row in rows(again).items()}.items()


def test_rows_of_a_comparison_are_models(board_of):
    report = board_of(comparison_record(), comparison_record() | {"title": "Again"})
    assert [[row.model.name for row in board.rows] for board in report.leaderboard.boards] == [
        ["PGD & Co", "Natural"]
    ] * 2  # one run is one model in both
    records = [comparison_record() | {"title": title} for title in ("First", "Second")]
    for record in records:
        record["rows"] = [{**row, "run": None} for row in record["rows"]]
    names = rows(board_of(*records))
    assert set(names) == {
        f"{row}, {table}" for row in ("PGD & Co", "Natural") for table in ("First", "Second")
    }
    assert "PGD &amp; Co" in html(report)


def test_models_against_each_other_image_by_image(board_of):
    moved = evaluation_of("runs/d", FGSM) | {"seed": 4}
    report = board_of(evaluation_of("runs/a", FGSM), evaluation_of("runs/b", PGD), moved)
    (board,) = report.leaderboard.boards
    assert len(board.rows) == 3 and [row.model.name for row in board.matched] == [
        "runs/a",
        "runs/b",
    ]
    # survivors 0 2 3 4 and 0 1 3 4: one of each that the other loses
    assert board.duels.rows == (("1  runs/a", 0, 1), ("2  runs/b", 1, 0))
    assert "survives and the model across does not" in markdown_page(report)


def test_the_table_of_duels_has_an_end_and_says_so(board_of):
    report = board_of(*(evaluation_of(f"runs/{i}", FGSM) for i in range(14)))
    (board,) = report.leaderboard.boards
    assert len(board.duels.rows) == 12 == len(board.duels.headings) - 1
    assert board.duels.notes == ("2 more are left out, those that keep least.",)


def test_the_script_is_told_every_image_and_no_text_ends_its_element(board_of):
    hostile = "</script><script>alert(1)<!--"
    more = {"class_names": (hostile, "dog", "fox")}
    records = [evaluation_of(name, FGSM) | more for name in ("runs/a", hostile)]
    report = board_of(*records)
    text = script_data(report.leaderboard)
    assert not {"<", ">", "&"} & set(text)
    content = json.loads(text)
    assert content["sets"] == [{"labels": LABELS, "names": [hostile, "dog", "fox"]}]
    (entries,) = content["boards"].values()
    assert [entry["name"] for entry in entries] == [f"1  {hostile}", "2  runs/a"]
    for entry in entries:
        bits = np.unpackbits(np.frombuffer(base64.b64decode(entry["alive"]), np.uint8))
        assert list(np.flatnonzero(bits)) == [0, 2, 3, 4]
    assert html(report).count("</script>") == 2


def test_a_drawing_places_each_model_by_its_accuracies(board_of):
    report = board_of(evaluation_of("runs/a", FGSM, PGD), evaluation_of("runs/b", FGSM))
    drawing = scatter_of(report.leaderboard.boards[0])
    best, other = drawing.points
    assert best.x == other.x and best.y < other.y  # as accurate; up is more robust
    assert best.left < best.x < best.right and best.top < best.y < best.bottom
    assert all(drawing.across.start <= x <= drawing.across.end for _, x in drawing.across.ticks)
    assert "runs/b: clean 83.3%, worst case 66.7%" in best.words


def test_no_face_is_on_the_page(board_of):
    for data in ("celeba", "/data/celeba.npz"):
        records = [evaluation_of(name, FGSM) | {"data": data} for name in ("runs/a", "runs/b")]
        report = board_of(*records)
        assert len(report.leaderboard.boards[0].rows) == 2
        assert "<img" not in html(report)
        assert not any("examples" in chart.name for chart in report.figures)
        assert report.parts[0].panels[0].table  # the confusion of classes is still there
    assert "<img" in html(board_of(*[r | {"data": "toy"} for r in records]))
