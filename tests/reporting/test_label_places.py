"""Labels of crowded points stay apart, and near where nothing is in the way."""

import itertools

import numpy as np
import pytest

from atk_latent.reporting.label_places import HEIGHT, MARKER, free_places


def boxes(points, labels, moves):
    return [
        (x + dx, y + dy, 0.6 * HEIGHT * len(label), HEIGHT)
        for (x, y), (dx, dy), label in zip(points, moves, labels, strict=True)
    ]


def apart(a, b):
    return abs(a[0] - b[0]) >= (a[2] + b[2]) / 2 or abs(a[1] - b[1]) >= (a[3] + b[3]) / 2


@pytest.mark.parametrize("spread", [0, 8, 30])
def test_no_label_covers_another_or_a_marker(spread):
    points = [tuple(p) for p in np.random.default_rng(0).uniform(-spread, spread, (9, 2))]
    labels = [str(i) for i in range(5, 14)]
    placed = boxes(points, labels, free_places(points, labels))
    for one, two in itertools.combinations(placed, 2):
        assert apart(one, two)
    for box, (x, y) in itertools.product(placed, points):
        assert apart(box, (x, y, MARKER, MARKER))


def test_a_lonely_label_stands_close_at_the_upper_right():
    ((dx, dy),) = free_places([(3.0, 4.0)], ["1"])
    assert dx == pytest.approx(dy) and 0 < dx < 10


def test_where_everything_is_taken_a_label_is_placed_all_the_same():
    assert len(free_places([(0.0, 0.0)] * 200, ["88"] * 200)) == 200
