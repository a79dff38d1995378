import numpy as np
import pytest
from matplotlib.image import imread

from atk_latent.methods.figures import ImageSheet
from atk_latent.reporting.figures import draw


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_shows_each_class_in_its_row(channels, tmp_path):
    images = np.zeros((2, 3, 8, 8, channels), np.float32)
    images[1] = 1.0  # the second class is white
    draw(ImageSheet(images, ("black", "white"), title="two classes"), tmp_path / "sheet.png")
    drawn = imread(tmp_path / "sheet.png")[..., :3].mean(axis=2)
    upper, lower = np.array_split(drawn[25:], 2)  # below the title
    assert (upper < 0.1).mean() > 0.4
    assert (lower < 0.1).mean() < 0.1
