import numpy as np
import pytest
from PIL import Image

from atk_latent.methods.figures import AccuracyOverEps, EpsStrip
from atk_latent.reporting.figures import draw


def strip(channels, rows=3, columns=4):
    grey = np.linspace(0, 1, 64).reshape(8, 8, 1).repeat(channels, axis=2)
    labels = np.arange(rows)
    return {
        "original": np.stack([grey] * rows),
        "reconstruction": np.stack([grey] * rows),
        "adversarial": np.stack([[grey] * columns] * rows),
        "eps": np.linspace(0.5, 5, columns),
        "label": labels,
        "target": (labels + 1) % rows,
        "vanilla": np.tile(labels[:, None], (1, columns)),
        "hardened": np.tile(labels[:, None], (1, columns)),
    }


def orange(path):
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((np.abs(pixels - [0xD3, 0x54, 0x00]).sum(axis=-1) < 30).sum())


@pytest.mark.parametrize("channels", [1, 3])
def test_the_strip_frames_what_the_hardened_classifier_gets_wrong(tmp_path, channels):
    arrays, names = strip(channels), ("zero", "one", "a very long class name")
    draw(EpsStrip(**arrays, class_names=names), tmp_path / "right.png")
    assert orange(tmp_path / "right.png") == 0
    arrays["hardened"][0, 2:] = 1
    draw(EpsStrip(**arrays, class_names=names), tmp_path / "wrong.png")
    assert orange(tmp_path / "wrong.png") > 200


def test_the_accuracy_figure_shows_both_models(tmp_path):
    eps = (0.5, 5.0, 20.0)
    curves = AccuracyOverEps(eps, [1 - e / 20 for e in eps], [1 - e / 40 for e in eps])
    draw(curves, tmp_path / "both.png")
    assert orange(tmp_path / "both.png") > 50
    assert Image.open(tmp_path / "both.png").size[0] > 400


def test_what_nothing_draws_is_a_bug(tmp_path):
    with pytest.raises(TypeError, match="no drawing of a dict"):
        draw({"kind": "strip"}, tmp_path / "none.png")
