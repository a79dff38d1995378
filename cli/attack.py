"""`atkl attack`: attacked images as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from atk_latent import atomic
from atk_latent.errors import InputError

from . import _common as common


@click.command("attack", short_help="Write attacked images to a file.")
@common.target_argument
@common.data_option
@click.option(
    "--attack",
    "-a",
    "spec",
    required=True,
    metavar="SPEC",
    help="NAME or NAME:key=value,key=value, such as pgd:eps=8/255,steps=20.",
)
@click.option("--out", required=True, metavar="FILE.npz", help="Must not exist yet.")
@click.option("--force", is_flag=True, help="Replace an existing --out file.")
@click.option("--split", type=click.Choice(["test", "train"]), default="test", show_default=True)
@common.limit_option
@common.seed_option
@common.batch_size_option
@common.device_option
@common.json_option
@common.run_command
def attack_command(
    target: str,
    data: str,
    spec: str,
    out: str,
    force: bool,
    split: str,
    limit: int | None,
    seed: int,
    batch_size: int,
    device: str,
    as_json: bool,
) -> None:
    """Attacks images on TARGET and writes them to FILE.npz.

    The file holds x_adv and x (float32 in [0, 1]), y (labels), index (place of each image
    in its split) and predictions (TARGET's classes of x_adv).
    """
    if Path(out).suffix != ".npz":
        raise InputError(f"--out must end in .npz. Received: {out}")
    atomic.check_new_file(out, replace=force)
    with common.stdout_kept_clean():
        arrays, record = _attacked(target, data, spec, split, limit, seed, batch_size, device)
    _write(out, arrays)
    record["out"] = out
    if as_json:
        common.print_json(record)
        return
    common.console().print(
        f"{record['n']} images attacked with {record['attack']} ({record['threat']}): "
        f"accuracy {record['clean_accuracy']:.4f} before, {record['robust_accuracy']:.4f} after; "
        f"written to {out}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _attacked(
    target: str,
    data: str,
    spec: str,
    split: str,
    limit: int | None,
    seed: int,
    batch_size: int,
    device: str,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays to write, and the record of the attack."""
    from atk_latent.data.dataset import select
    from atk_latent.data.loading import load_dataset

    common.check_attack_names([spec])
    common.choose_device(device)
    dataset = load_dataset(data, seed=seed)
    common.setup_tensorflow(device)
    import numpy as np

    from atk_latent.art_bridge.context import AttackContext
    from atk_latent.art_bridge.estimator import estimator_for
    from atk_latent.art_bridge.factory import make_attack
    from atk_latent.evaluation import runner

    x, y = getattr(dataset, f"x_{split}"), getattr(dataset, f"y_{split}")
    index = select(y, limit, seed, "--limit")
    x, y = x[index], y[index]
    model = common.load_target(target, dataset.image_shape, dataset.num_classes)
    estimator = estimator_for(model, image_shape=dataset.image_shape, batch_size=batch_size)
    chunks = []
    with common.progress_bars() as progress:
        bound = make_attack(
            spec,
            estimator,
            AttackContext(
                run=common.run_folder(target), data=dataset, seed=seed, progress=progress
            ),
        )
        progress(bound.shown, 0, len(x))
        for chunk in runner.attack_chunks(
            bound, estimator, x, y, spec=spec, seed=seed, batch_size=batch_size
        ):
            chunks.append(chunk)
            progress(bound.shown, chunk.start + len(chunk.robust), len(x))
    clean = runner.clean_accuracy(estimator, x, y, batch_size=batch_size)
    result = runner.summarise(bound, chunks, spec=spec)
    arrays = {
        "x_adv": np.concatenate([chunk.x_adv for chunk in chunks]),
        "x": x,
        "y": y,
        "index": index,
        "predictions": np.concatenate([chunk.predictions for chunk in chunks]),
    }
    about = {"target": target, "data": dataset.name, "split": split, "seed": seed}
    return arrays, {**about, "clean_accuracy": clean.value, **result.to_dict()}


def _write(out: str, arrays: dict[str, Any]) -> None:
    import numpy as np

    with atomic.atomic_file(out) as temporary:
        np.savez_compressed(temporary, **arrays)
