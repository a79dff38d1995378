from atk_latent.reproduction.table import markdown, with_ranks
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.comparison import Cell, Column, Comparison, Row


def comparison(*rows):
    return Comparison(
        date="2026-01-01", seed=0, versions={}, title="t", data="d", data_fingerprint="f",
        columns=(Column.of("clean", None),), rows=rows, notes=(),
    )  # fmt: skip


def test_markdown_marks_what_has_no_time():
    text = markdown(comparison(Row(label="a", cells=(), training=None, epochs=3, rank=1.0)))
    assert "| a | - | 1.00 |" in text and "s/epoch" not in text


def test_a_row_without_cells_has_no_rank():
    full = Row(label="b", cells=(Cell.of("clean", Accuracy.of([True])),))
    first, second = with_ranks(comparison(Row(label="a", cells=()), full)).rows
    assert (first.rank, second.rank) == (None, 1.0)
