"""LADDER's tables: every defence under attacks made elsewhere, on itself, and by LADDER.

One command makes what a data set has of Tables 1 to 5 and 7 to 9, and of the figures. What was
trained or attacked before is found again.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atk_latent.art_bridge.context import AttackContext
from atk_latent.data.loading import load_dataset
from atk_latent.evaluation.runner import Options, run_attacks
from atk_latent.methods.ladder_run import load_ladder
from atk_latent.models.loading import load_classifier
from atk_latent.progress import Progress
from atk_latent.reproduction.ladder import figures as ladder_figures
from atk_latent.reproduction.ladder import surrogates
from atk_latent.reproduction.ladder.runs import Cast, song_gan
from atk_latent.reproduction.ladder.scenes import (
    ADVERSARIES,
    SCENES,
    SIZES,
    Scene,
    attacks,
    published,
    rows_of,
)
from atk_latent.reproduction.ladder.study import Study, is_correct, printed
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.attack_result import Published
from atk_latent.results.comparison import Cell, Column, Comparison, Row
from atk_latent.results.threat import ThreatModel

SOURCE = "LADDER, Table {}"
CLEAN = "clean"


def run(
    scene: Scene, preset: str, folder: Path, *, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """All tables and figures of a data set.

    Args:
        scene: the data set. preset: "quick" or "paper", see `SIZES`.
        folder: where everything goes. seed: of the first classifiers; others count on.
        progress: told (stage, done, in all, logs).

    Returns:
        The records of the tables by name, and which surrogate fits the published row.
    """
    size, dataset = SIZES[preset], load_dataset(scene.data, seed=seed)
    gan = folder / "song-gan"
    casts = tuple(
        Cast(scene, size, dataset, folder / f"seed-{number}", gan, number, progress)
        for number in range(seed, seed + size.seeds)
    )
    vanilla = load_classifier(casts[0].vanilla(), dataset.image_shape, dataset.num_classes)
    song_gan(scene, size, dataset, gan, casts[0].vanilla() / "model.keras", progress)
    study = Study(scene, size, dataset, folder, casts, vanilla, progress)
    fit = surrogate_fit(study)
    return {
        "surrogate": fit,
        "transfer": transfer_table(study, fit["chosen"]).to_json(),
        "trades": trades_table(study, fit["chosen"]).to_json(),
        "ladder-examples": ladder_examples_table(study).to_json(),
        "figures": ladder_figures.draw(study),
        "white-box": white_box_table(study).to_json(),
        "vanilla-sets": vanilla_sets_table(study).to_json(),
    }


def surrogate_fit(study: Study) -> dict[str, Any]:
    """Which candidate gives the vanilla classifier the accuracies that the paper prints.

    The candidates are compared on FGSM, JSMA and PGD; the one with the smallest mean
    difference is what the transfer sets are made on.
    """
    wanted = printed(study.scene.data)["Vanilla"]
    rows, differences = [], {}
    for name in surrogates.names(study.vanilla):
        model = surrogates.surrogate(
            name, study.vanilla, study.scene.model, study.dataset,
            study.folder / "surrogates", study.progress,
        )  # fmt: skip
        cells = []
        for column in ("FGSM", "JSMA", "PGD"):
            x_adv, y = study.crafted(name, model, column)
            accuracy = Accuracy.of(is_correct(study.vanilla, x_adv, y))
            published = Published(value=wanted[column], source=SOURCE.format(study.scene.table))
            cells.append(Cell.of(column, accuracy, _origin(name), published=published))
        gaps = [abs(c.accuracy - c.published.value) for c in cells if c.published]
        differences[name] = sum(gaps) / len(gaps)
        rows.append(Row(label=name, cells=tuple(cells), difference=differences[name]))
    chosen = min(differences, key=lambda name: differences[name])
    table = study.table(
        f"What the vanilla classifier keeps, by what the images were made on ({study.scene.data})",
        [Column.of(name, None, study.size.attacked) for name in ("FGSM", "JSMA", "PGD")],
        rows,
        [
            "In brackets: the paper's vanilla row. It does not say what its images were made on.",
            *(f"{n}: mean difference {100 * d:.1f} points." for n, d in differences.items()),
            f"Nearest, and used for the transfer tables: {chosen}.",
        ],
    )
    study.write("surrogates", table, ranked=False)
    return {"chosen": chosen, "differences": differences}


def transfer_row(
    study: Study,
    label: str,
    chosen: str,
    table: int,
    *,
    columns: Sequence[str],
    wanted: Mapping[str, float],
) -> Row:
    """A defence on clean images and on the sets made on `chosen`; the mean of all seeds.

    Args:
        columns: what to fill. wanted: published fractions by column, of `table`.
    """
    casts = study.casts[:1] if chosen == surrogates.ITSELF else study.casts
    runs = [cast.defence(label) for cast in casts]
    models = [study.model(place) for place in runs]
    surrogate = surrogates.surrogate(
        chosen, study.vanilla, study.scene.model, study.dataset, study.folder / "surrogates"
    )
    cells = []
    for column in columns:
        if column == label.removesuffix(" adv."):
            continue  # the paper leaves out what a method was trained on
        if column == CLEAN:
            (x, y), threat = study.first(len(study.dataset.x_test)), None
        else:
            (x, y), threat = study.crafted(chosen, surrogate, column), _origin(chosen, label)
        correct = [is_correct(model, x, y) for model in models]
        cells.append(
            Cell.of(
                column,
                mean_accuracy(correct),
                threat,
                published=_published(wanted.get(column), table),
                seeds=tuple(float(np.mean(each)) for each in correct),
            )
        )
    return Row(label=label, run=str(runs[0]), cells=tuple(cells))


def _published(value: float | None, table: int) -> Published | None:
    return None if value is None else Published(value=value, source=SOURCE.format(table))


def _origin(name: str, label: str = "Vanilla") -> ThreatModel:
    """The threat model of a set made on the surrogate `name` to the classifier `label`."""
    if name != surrogates.ITSELF:
        return ThreatModel(access="white-box", crafted_on=name)
    crafted_on = None if label == "Vanilla" else "the vanilla classifier"
    return ThreatModel(access="white-box", crafted_on=crafted_on)


def mean_accuracy(correct: Sequence[np.ndarray]) -> Accuracy:
    """The mean over classifiers, with the interval of one that has it on these images."""
    n, mean = len(correct[0]), float(np.mean(correct))
    return Accuracy.of(np.arange(n) < round(mean * n)).model_copy(update={"value": mean})


def _transfer_columns(study: Study) -> list[Column]:
    columns = [Column.of(CLEAN, None, None)]
    for name, spec in attacks(study.size, study.gan.name).items():
        slow = name.startswith("AutoAttack")
        columns.append(Column.of(name, spec, study.size.slow if slow else study.size.attacked))
    return columns


def transfer_table(study: Study, chosen: str) -> Comparison:
    """Tables 1 to 4: attacks made on another classifier, and the average rank."""
    number = study.scene.table
    # LADDER comes first: what it trains beside the classifier serves its variants.
    for cast in study.casts:
        cast.defence("LADDER")
    columns, known = (CLEAN, *attacks(study.size, "")), printed(study.scene.data)
    rows = [
        transfer_row(study, label, chosen, number, columns=columns, wanted=known.get(label, {}))
        for label in rows_of(study.scene)
    ]
    table = study.table(
        f"LADDER Table {number}: {study.scene.data}, transfer attacks",
        columns=_transfer_columns(study),
        rows=rows,
        notes=[
            *_shared_notes(study),
            (
                "Average rank: over all columns but a row's own attack; smaller is better. "
                "The paper has one AutoAttack column, of unknown radius, set beside that at 0.3."
            ),
        ],
    )
    return study.write("transfer", table)


def trades_table(study: Study, chosen: str) -> Comparison:
    """Table 5: TRADES, LADDER, and TRADES' loss on LADDER's examples."""
    columns, known = (CLEAN, *attacks(study.size, "")), printed(study.scene.data)
    rows = [
        transfer_row(study, label, chosen, 5, columns=columns, wanted=known.get(label, {}))
        for label in ("TRADES", "LADDER", "TRADES + LADDER")
    ]
    table = study.table(
        f"LADDER Table 5: {study.scene.data}, transfer attacks",
        columns=_transfer_columns(study),
        rows=rows,
        notes=[
            *_shared_notes(study),
            (
                "TRADES fine-tunes the vanilla classifier on all training images, with its own "
                "examples at Linf 0.3; the paper's trains on FGSM examples, it says no more."
            ),
        ],
    )
    return study.write("trades", table)


def _shared_notes(study: Study) -> list[str]:
    trained = study.casts[0].settings("LADDER")[1] or {"settings": "Table 6's"}
    return [
        (
            "In brackets: the paper. ± is half the 95% Wilson interval of the images; "
            f"{study.size.seeds} seed(s), each with its own vanilla classifier and defences."
        ),
        (
            f"Accuracy on the attacked set as in the paper: an image that was wrong before counts "
            f"if it is right now. Defences: {', '.join(f'{k} {v}' for k, v in trained.items())}."
        ),
    ]


def ladder_examples_table(study: Study) -> Comparison:
    """Tables 8 and 9: every defence on LADDER examples of the test images.

    The examples are made on the vanilla classifier, white-box for it and transfer for the
    rest; the published numbers are alike (the same set for all). The strength is not printed:
    it is the one at which the vanilla classifier comes nearest to the printed accuracy.
    """
    wanted = published()["ladder_examples"].get(study.scene.data, {})
    ladder = load_ladder(study.casts[0].defence("LADDER"))
    x, y = study.dataset.x_test, study.dataset.y_test
    sets = {}
    for eps in study.scene.search:
        sets[eps] = ladder.adversary(seed=1).craft_all(x, y, eps=eps)["x_adv"]
    kept = {eps: float(np.mean(is_correct(study.vanilla, made, y))) for eps, made in sets.items()}
    goal = wanted.get("Vanilla", 70.0) / 100
    eps = min(kept, key=lambda e: abs(kept[e] - goal))
    rows = []
    for label in rows_of(study.scene):
        place = study.casts[0].defence(label)
        value = wanted[label] / 100 if label in wanted else None
        cell = Cell.of(
            "LADDER",
            Accuracy.of(is_correct(study.model(place), sets[eps], y)),
            _origin(surrogates.ITSELF, label).model_copy(update={"norm": "latent"}),
            published=_published(value, 8 if label == "LADDER" else 9),
        )
        rows.append(Row(label=label, run=str(place), cells=(cell,)))
    table = study.table(
        f"LADDER Tables 8 and 9: {study.scene.data}, LADDER examples of all test images",
        columns=[Column.of("LADDER", f"ladder:eps={eps:g}", None)],
        rows=rows,
        notes=[
            (
                "In brackets: the paper, which calls the set white-box for every row; its numbers "
                "can only be one set made on the vanilla classifier."
            ),
            f"The strength, {eps:g}, is where the vanilla classifier is nearest to the printed "
            f"{100 * goal:.2f}%. At others: "
            + ", ".join(f"{e:g}: {100 * value:.1f}%" for e, value in kept.items())
            + ".",
        ],
    )
    return study.write("ladder-examples", table, ranked=False)


def _white_box_rows(data: str) -> dict[str, dict[str, float]]:
    """Table 7, fractions by row and column; it is there for MNIST alone."""
    known = published()["white_box"]
    rows = known["rows"] if data == "mnist" else {}
    return {
        row: {
            name: value / 100
            for name, value in zip(known["columns"], values, strict=True)
            if value is not None
        }
        for row, values in rows.items()
    }


def white_box_table(study: Study) -> Comparison:
    """Table 7: attacks with the gradients of the classifier itself."""
    known = _white_box_rows(study.scene.data)
    specs = attacks(study.size, str(study.gan))
    x, y = study.first(study.size.slow)
    context = AttackContext(data=study.dataset)
    options = Options(store=study.folder / "chunks", context=context)
    rows = []
    for label in rows_of(study.scene):
        place = study.casts[0].defence(label)
        model, cells, values = study.model(place), [], known.get(label, {})
        for name in ADVERSARIES:
            (result,) = run_attacks(model, x, y, [specs[name]], options)
            cells.append(Cell.of_attack(name, result, _published(values.get(name), 7)))
        rows.append(Row(label=label, run=str(place), cells=tuple(cells)))
    table = study.table(
        f"LADDER Table 7: {study.scene.data}, white-box attacks",
        columns=[Column.of(name, specs[name], study.size.slow) for name in ADVERSARIES],
        rows=rows,
        notes=[
            (
                "In brackets: the paper. An image counts if it is right before and after; "
                "nothing is left out for being a row's own attack."
            ),
            "CW and JSMA look for a random other class, Song for any other class.",
        ],
    )
    return study.write("white-box", table)


def vanilla_sets_table(study: Study) -> Comparison:
    """Table 7's numbers beside sets that were made once, on the vanilla classifier.

    The paper calls its Table 7 white-box. Adversarial training on a fixed set of images does
    not give what it prints for PGD; this table shows how much of it one set for all rows does.
    """
    known = _white_box_rows(study.scene.data)
    rows = [
        transfer_row(
            study, label, surrogates.ITSELF, 7, columns=ADVERSARIES, wanted=known.get(label, {})
        )
        for label in rows_of(study.scene)
    ]
    table = study.table(
        f"LADDER Table 7 again: {study.scene.data}, sets made on the vanilla classifier",
        columns=[c for c in _transfer_columns(study) if c.label in ADVERSARIES],
        rows=rows,
        notes=[
            "White-box for the vanilla classifier, transfer for the rest; one seed.",
            "In brackets: the paper's Table 7, which calls its numbers white-box.",
            *_shared_notes(study)[1:],
        ],
    )
    return study.write("vanilla-sets", table)


mnist, svhn, celeba, cifar10 = (
    functools.partial(run, SCENES[name]) for name in ("mnist", "svhn", "celeba", "cifar10")
)
