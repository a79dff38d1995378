import keras
import numpy as np
import pytest

from atk_latent.config import build
from atk_latent.errors import InputError
from atk_latent.inference.loading import has_manifold, imt_for, load_manifold
from atk_latent.methods.atld import ATLD
from atk_latent.methods.atld_settings import ATLDSettings
from tests.adversaries.test_latent_discriminator import network


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    classifier, discriminator = network()
    game = ATLD(
        classifier, build(ATLDSettings, {"eps": 0.1, "imt_high": 0.6}), discriminator=discriminator
    )
    game.save_helpers(folder / "helpers")
    return folder, game


def test_the_manifold_comes_back_as_it_was(run):
    folder, game = run
    assert has_manifold(folder) and not has_manifold(None)
    manifold, stored = load_manifold(folder, game.classifier)
    x = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)
    np.testing.assert_allclose(manifold.score(x), game.manifold.score(x), atol=1e-6)
    assert stored["step_size"] == stored["radius"] == 0.1 and stored["high"] == 0.6


def test_inference_is_named_with_settings_on_top_of_the_runs(run):
    folder, game = run
    assert imt_for("none", folder, game.classifier) is None
    imt = imt_for("imt+:magnitude=0.25,step_size=8/255", folder, game.classifier).transform
    assert (imt.variant, imt.settings.magnitude, imt.settings.high) == ("imt+", 0.25, 0.6)
    assert imt.settings.step_size == pytest.approx(8 / 255)


def test_a_run_stores_what_the_published_evaluation_is_told(tmp_path):
    classifier, discriminator = network()
    settings = {"eps": 0.1, "imt_high": 0.6, "imt_clean_high": 0.7, "imt_fgsm_factor": 4}
    game = ATLD(classifier, build(ATLDSettings, settings), discriminator=discriminator)
    game.save_helpers(tmp_path / "helpers")
    high = {
        text: imt_for(text, tmp_path, classifier).transform.settings
        for text in ("imt+", "imt+:told=clean", "imt+:told=fgsm")
    }
    assert [(s.high, s.step_size) for s in high.values()] == [(0.6, 0.1), (0.7, 0.1), (0.6, 0.4)]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("IMT", "none, imt or imt"),
        ("none:high=1", "none, imt"),
        ("imt:hihg=1", "Did you mean 'high'"),
    ],
)
def test_another_word_is_refused(run, text, word):
    with pytest.raises(InputError, match=word):
        imt_for(text, run[0], run[1].classifier)


def test_a_folder_without_discriminator_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="holds no discriminator"):
        imt_for("imt", tmp_path, run[1].classifier)
    with pytest.raises(InputError, match="the target holds no discriminator"):
        imt_for("imt", None, keras.Sequential())
