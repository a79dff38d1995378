import csv
import json

import keras
import pytest

from atk_latent.errors import InputError
from atk_latent.methods.figures import AccuracyOverEps
from atk_latent.results.card import Card
from atk_latent.training.request import GANRequest, HardenRequest, RunOptions
from atk_latent.training.run_folder import RunFolder

OPTIONS = RunOptions("digits", "quick", {"epochs": "2", "eps": (1.0, 2)}, limit=60, seed=4)
REQUEST = HardenRequest("ladder", OPTIONS, "lenet")
# As the first edition wrote it: a run that was stopped then goes on now.
STORED = {
    "method": "ladder",
    "data": "digits",
    "preset": "quick",
    "model": "lenet",
    "overrides": {"epochs": "2", "eps": [1.0, 2]},
    "limit": 60,
    "seed": 4,
}
CARD = Card.from_json(
    {
        "method": "ladder",
        "data": "digits",
        "preset": "quick",
        "overrides": {},
        "date": "2026-01-31",
        "seed": 4,
        "settings": {"eps": [1.0, 2]},
        "metrics": {},
        "versions": {},
        "clean_accuracy": 0.5,
    },
    "card",
)


def opened(folder):
    run = RunFolder(folder, REQUEST)
    run.open()
    return run


@pytest.mark.parametrize(
    ("request_", "changes"),
    [
        (REQUEST, {}),
        (GANRequest(OPTIONS, "judge.keras"), {"method": "song-gan", "model": "judge.keras"}),
        (GANRequest(OPTIONS), {"method": "song-gan", "model": None}),
    ],
)
def test_the_request_is_stored_as_it_always_was(tmp_path, request_, changes):
    run = RunFolder(tmp_path / "deep" / "run", request_)
    assert not (tmp_path / "deep").exists()
    run.open()
    text = (tmp_path / "deep" / "run" / "request.json").read_text()
    assert json.loads(text) == {**STORED, **changes}
    assert list(json.loads(text)) == list(STORED)


def test_a_run_of_the_first_edition_is_resumed(tmp_path):
    (tmp_path / "request.json").write_text(json.dumps(STORED))
    (tmp_path / "helpers" / "checkpoint-generator").mkdir(parents=True)
    run = RunFolder(tmp_path, REQUEST, resume=True)
    assert run.resumed and not run.finished


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (HardenRequest("ladder", OPTIONS, None), "model='lenet', now it is None"),
        (GANRequest(OPTIONS, "lenet"), "method='ladder', now it is 'song-gan'"),
        (HardenRequest("ladder", RunOptions("digits", limit=60, seed=4), "lenet"), "overrides="),
    ],
)
def test_another_request_is_refused_and_named(tmp_path, other, message):
    opened(tmp_path / "run")
    with pytest.raises(InputError, match=message):
        RunFolder(tmp_path / "run", other, resume=True)


def test_places_that_hold_something_else_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="other things in it"):
        RunFolder(tmp_path, REQUEST, resume=True)
    with pytest.raises(InputError, match="notes.txt must be a folder"):
        RunFolder(tmp_path / "notes.txt" / "run", REQUEST)
    opened(tmp_path / "run").checkpoint.mkdir()
    (tmp_path / "run" / "checkpoint" / "state").write_text("x")
    with pytest.raises(InputError, match="add --resume"):
        RunFolder(tmp_path / "run", REQUEST)


def test_finishing_leaves_a_card_that_reads_back_and_no_states(tmp_path):
    run = opened(tmp_path)
    assert not run.resumed
    for state in (run.checkpoint / "classifier", run.helpers / "checkpoint-generator"):
        state.mkdir(parents=True)
        (state / "part").write_text("x")
    again = RunFolder(tmp_path, REQUEST, resume=True)
    assert again.resumed
    card = again.finish(CARD)
    assert card == again.card()
    assert card.to_json() == json.loads((tmp_path / "card.json").read_text())
    assert card.settings == {"eps": [1.0, 2]} and card.clean_accuracy == 0.5
    assert (tmp_path / "card.md").read_text().startswith("# Model card: ladder on digits")
    assert RunFolder(tmp_path, REQUEST, resume=True).finished
    assert sorted(p.name for p in tmp_path.rglob("*")) == [
        "card.json",
        "card.md",
        "checksums.json",
        "helpers",
        "request.json",
    ]


def test_a_run_that_ends_before_its_card_is_not_finished(tmp_path, monkeypatch):
    run = opened(tmp_path)
    run.checkpoint.mkdir()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("atk_latent.training.run_folder.noted_file", killed)
    with pytest.raises(KeyboardInterrupt):
        run.finish(CARD)
    again = RunFolder(tmp_path, REQUEST, resume=True)
    assert again.resumed and not again.finished


def test_adopted_files_are_copies_in_an_open_run(tmp_path):
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "boundaries.npz").write_text("planes")
    run = RunFolder(tmp_path / "run", REQUEST)
    run.adopt(tmp_path / "known", ["boundaries.npz"])
    assert (run.helpers / "boundaries.npz").read_text() == "planes"
    assert RunFolder(tmp_path / "run", REQUEST, resume=True).resumed is False


def test_models_history_and_figures_lie_beside_the_card(tmp_path):
    run = opened(tmp_path)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    run.save_model(model, "helpers/small.keras")
    assert keras.models.load_model(run.helpers / "small.keras").count_params() == 3
    run.save_history([{"loss": 1.5}, {"loss": 1.0, "val_accuracy": 0.5}])
    with (tmp_path / "history.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first == {"epoch": "1", "loss": "1.5", "val_accuracy": ""}
    assert second == {"epoch": "2", "loss": "1.0", "val_accuracy": "0.5"}
    run.save_figure(AccuracyOverEps([1.0], [0.5], [0.9]), "curve")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def small_model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def finished(folder, **options):
    run = RunFolder(folder, REQUEST, **options)
    with run.locked():
        run.open()
        run.save_model(small_model(), "model.keras")
        run.finish(CARD)
    return RunFolder(folder, REQUEST, **{**options, "resume": True})


def refused(action, *words):
    with pytest.raises(InputError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text and all(str(word) in text for word in words), text


def test_a_finished_run_is_handed_back_once_its_model_is_the_one_it_wrote(tmp_path):
    run = finished(tmp_path)
    assert run.finished_card().model_checksum and not (tmp_path / ".lock").exists()
    other = small_model()
    other.save(tmp_path / "model.keras")
    refused(run.finished_card, "model.keras is damaged or was changed", "remove card.json")
    (tmp_path / "checksums.json").unlink()
    refused(run.finished_card, "model.keras is not the model that card.json was written for")
    (tmp_path / "model.keras").unlink()
    refused(run.finished_card, "model.keras does not exist", "--resume")


def test_a_finished_run_of_the_version_before_is_handed_back(tmp_path):
    (tmp_path / "request.json").write_text(json.dumps(STORED))
    (tmp_path / "card.json").write_text(json.dumps(CARD.to_json()))
    small_model().save(tmp_path / "model.keras")
    run = RunFolder(tmp_path, REQUEST, resume=True, data_fingerprint="1234")
    assert run.finished_card() == CARD


@pytest.mark.parametrize("change", [{"method": "pgd"}, {"data": "mnist"}, {"seed": 5}])
def test_the_card_of_another_run_is_refused(tmp_path, change):
    run = finished(tmp_path)
    (tmp_path / "checksums.json").unlink()
    (tmp_path / "card.json").write_text(json.dumps({**CARD.to_json(), **change}))
    refused(run.finished_card, "is the card of another run", *change)


def test_a_card_that_changed_is_refused(tmp_path):
    run = finished(tmp_path)
    (tmp_path / "card.json").write_text(json.dumps({**CARD.to_json(), "clean_accuracy": 0.9}))
    refused(run.finished_card, "card.json is damaged or was changed")


def test_other_data_are_refused_while_stopped_and_when_finished(tmp_path):
    run = RunFolder(tmp_path / "a", REQUEST, data_fingerprint="1111")
    run.open()
    RunFolder(tmp_path / "a", REQUEST, resume=True, data_fingerprint="1111")
    again = {"resume": True, "data_fingerprint": "2222"}
    refused(lambda: RunFolder(tmp_path / "a", REQUEST, **again), "other data", "1111", "2222")
    finished(tmp_path / "b", data_fingerprint="1111")
    refused(lambda: RunFolder(tmp_path / "b", REQUEST, **again), "other data", "choose another")
    (tmp_path / "c").mkdir()  # as the version before wrote it: only the card knows the data
    (tmp_path / "c" / "request.json").write_text(json.dumps(STORED))
    card = {**CARD.to_json(), "data_fingerprint": "1111"}
    (tmp_path / "c" / "card.json").write_text(json.dumps(card))
    refused(lambda: RunFolder(tmp_path / "c", REQUEST, **again), "other data")


@pytest.mark.parametrize(
    "text", ["", "[]", '"x"', "[" * 10**5, '{"seed": "4"}', '{"overrides": []}', '{"limit": -1}']
)
def test_a_request_of_another_type_is_one_line(tmp_path, text):
    opened(tmp_path)
    for _ in range(2):
        (tmp_path / "request.json").write_text(text)
        refused(lambda: RunFolder(tmp_path, REQUEST, resume=True), "request.json")
        (tmp_path / "checksums.json").unlink(missing_ok=True)


def test_what_failed_before_anything_was_trained_does_not_block_the_retry(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "deep" / "run", tmp_path / "empty"):
        run = RunFolder(folder, REQUEST)
        with pytest.raises(ZeroDivisionError), run.locked():
            run.open()
            raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]
    assert not list((tmp_path / "empty").iterdir())
    opened(tmp_path / "run")  # as a kill at once leaves it
    other = HardenRequest("pgd", OPTIONS)
    with RunFolder(tmp_path / "run", other).locked():
        pass


def test_what_was_trained_stays_after_a_failure(tmp_path):
    run = RunFolder(tmp_path / "run", REQUEST)
    with pytest.raises(KeyboardInterrupt), run.locked():
        run.open()
        (run.helpers / "vanilla.keras").write_text("weights")
        raise KeyboardInterrupt
    assert (run.helpers / "vanilla.keras").exists() and (run.folder / "request.json").exists()
    refused(lambda: RunFolder(tmp_path / "run", REQUEST), "add --resume")


def test_a_run_that_another_one_holds_is_refused_before_anything(tmp_path):
    holder = RunFolder(tmp_path, REQUEST)
    early = RunFolder(tmp_path, REQUEST, resume=True)
    with holder.locked():
        holder.open()
        refused(lambda: RunFolder(tmp_path, REQUEST, resume=True), "in use by process")
        refused(early.locked().__enter__, "in use by process")
        holder.save_model(small_model(), "model.keras")
        holder.finish(CARD)
    refused(early.locked().__enter__, "finished by another process meanwhile")


@pytest.mark.parametrize("place", ["/proc/nothing/run", "x" * 300])
def test_a_place_where_no_folder_can_be_is_one_line(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    refused(lambda: RunFolder(tmp_path / place, REQUEST).locked().__enter__(), "Choose a")
