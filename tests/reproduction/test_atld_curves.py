from atk_latent.reproduction.atld import curves
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.comparison import Cell

HISTORY = """epoch,accuracy,divergence,val_pgd_accuracy,seconds
1,0.5,0.25,0.125,3
2,0.6,0.5,0.375,3
"""


def test_rows_are_those_of_the_matrix_that_have_seeds_with_and_without_imt(noted):
    labels = [row.label.removeprefix("wrn-10-2: ") for row in curves.ROWS]
    games = [f"{name} {term}" for term in ("mse_ratio", "none") for name in ("ATLD-", "ATLD")]
    assert labels == ["PGD", "feature scattering", *games]
    settings = [noted("quick").settings(curves.CIFAR10, row) for row in curves.ROWS]
    for name, value in (("epochs", 40), ("learning_rate", 0.1), ("early_stopping", True)):
        assert {s[name] for s in settings} == {value}
    assert {tuple(s["decay_epochs"]) for s in settings} == {(24, 36)}


def test_a_history_has_the_panels_that_were_logged(tmp_path):
    (tmp_path / "history.csv").write_text(HISTORY)
    read = curves.history(tmp_path)
    assert read == {"val_pgd_accuracy": [0.125, 0.375], "divergence": [0.25, 0.5]}


def test_curves_are_drawn_of_each_run_once(tmp_path, noted, monkeypatch):
    runner, drawn = noted("quick"), []
    monkeypatch.setattr(
        runner, "_cell", lambda e, column, *_: Cell.of(column.label, Accuracy.of([True]))
    )
    monkeypatch.setattr(curves, "history", lambda run: {"divergence": [1.0, float(len(run.name))]})
    draw = curves.draw
    monkeypatch.setattr(
        curves, "draw", lambda series, path: (drawn.append(series), draw(series, path))
    )
    record = curves.reproduce(curves.CIFAR10, runner)
    assert len(record["rows"]) == 6
    (series,) = drawn
    assert list(series) == [row.label for row in curves.ROWS if row.inference == "none"]
    assert (tmp_path / "curves.png").stat().st_size > 5000


def test_lines_show_what_they_are_given(tmp_path):
    series = {"a": {"divergence": [0.0, 1.0]}, "b": {"val_pgd_accuracy": [0.5]}}
    curves.draw(series, tmp_path / "one.png")
    curves.draw({**series, "a": {"divergence": [0.0, 0.5, 1.0]}}, tmp_path / "two.png")
    one, two = ((tmp_path / f"{name}.png").read_bytes() for name in ("one", "two"))
    assert one != two
