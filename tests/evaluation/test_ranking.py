"""The rank rule against the ranks that the LADDER paper prints."""

import math

import pytest

from atk_latent.evaluation.ranking import average_ranks

NONE = None
TABLE_2 = {
    "Vanilla": (99.13, 46.6, 93.91, 29.93, 99.09, 99.82, 99.56),
    "FGSM": (92.31, NONE, 83.67, 80.91, 90.58, 95.53, 92.22),
    "JSMA": (98.56, 57.8, NONE, 51.04, 98.56, 99.87, 98.69),
    "PGD": (90.79, 76.2, 83.31, NONE, 90.67, 94.44, 90.36),
    "CW": (98.87, 59.2, 94.67, 44.62, NONE, 99.91, 99.36),
    "Song": (97.23, 55.6, 89.16, 49.91, 96.87, NONE, 96.69),
    "cavRandom": (99.01, 54.8, 92.76, 48.2, 98.56, 99.78, 98.89),
    "Random": (98.99, 64.4, 92.93, 56.87, 98.33, 99.89, 99.04),
    "LADDER": (99.12, 55.8, 93.13, 49.2, 98.9, 99.82, 99.36),
}
PRINTED = (3.57, 6.50, 4.17, 7.00, 3.17, 6.00, 5.00, 3.29, 3.29)


def test_ranks_are_those_the_paper_prints():
    found = average_ranks(TABLE_2)
    assert [round(found[name], 2) for name in TABLE_2] == list(PRINTED)


def test_equal_values_share_the_better_rank_and_missing_cells_do_not_count():
    found = average_ranks({"a": (0.5, 0.9), "b": (0.5, None), "c": (0.4, 0.8), "d": (None, None)})
    assert found["a"] == 1 and found["b"] == 1 and found["c"] == (3 + 2) / 2
    assert math.isnan(found["d"])


def test_rows_of_different_length_are_refused():
    with pytest.raises(ValueError, match="each column"):
        average_ranks({"a": (1.0,), "b": (1.0, 2.0)})
