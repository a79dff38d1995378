"""`atkl attack`: attacked images as a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from atk_latent import atomic
from atk_latent.errors import InputError
from atk_latent.pixels import PixelFormat
from atk_latent.registry import ATTACKS

from . import _common as common
from ._names import Names

if TYPE_CHECKING:
    from atk_latent.results.attack_result import AttackResult


@click.command("attack", short_help="Write attacked images to a file.")
@common.target_argument
@common.data_option
@click.option(
    "--attack",
    "-a",
    "spec",
    required=True,
    type=Names(ATTACKS),
    metavar="SPEC",
    help="NAME or NAME:key=value,key=value, such as pgd:eps=8/255,steps=20.",
)
@click.option("--out", required=True, metavar="FILE.npz", help="Must not exist yet.")
@click.option("--force", is_flag=True, help="Replace an existing --out file.")
@click.option("--split", type=click.Choice(["test", "train"]), default="test", show_default=True)
@common.limit_option
@common.seed_option
@common.batch_size_option
@common.trust_option
@common.device_option
@common.json_option
@common.run_command
@common.pixel_options
def attack_command(force: bool, as_json: bool, **options: Any) -> None:
    """Attacks images on TARGET and writes them to FILE.npz.

    The file holds x_adv and x (float32 in [0, 1]), y (labels), index (place of each image
    in its split) and predictions (TARGET's classes of x_adv).
    """
    chosen = _Options(**options)
    out = chosen.out
    if Path(out).suffix != ".npz":
        raise InputError(f"--out must end in .npz. Received: {out}")
    atomic.check_new_file(out, replace=force, parents=True)
    with common.stdout_kept_clean():
        result, clean = _attack(chosen)
    if as_json:
        about = {"target": chosen.target, "data": clean.data, "split": chosen.split}
        fields = {**about, "seed": chosen.seed, "clean_accuracy": clean.accuracy, "out": out}
        common.print_json({**fields, **result.without_images().to_json()})
        return
    common.console().print(
        f"{result.n} images attacked with {result.attack} ({result.threat}): "
        f"accuracy {clean.accuracy:.4f} before, {result.robust_accuracy:.4f} after; "
        f"written to {out}",
        soft_wrap=True,
    )


@dataclass(frozen=True)
class _Options:
    """The command's options by name."""

    target: str
    data: str
    spec: str
    out: str
    split: str
    limit: int | None
    seed: int
    batch_size: int
    trust: bool
    pixels: PixelFormat
    device: str


class _Clean(NamedTuple):
    """The name of the data, and the accuracy on its images before the attack."""

    data: str
    accuracy: float


def _attack(options: _Options) -> tuple[AttackResult, _Clean]:
    """Writes the attacked images; what the attack left, and what there was before."""
    from atk_latent.data.dataset import select
    from atk_latent.data.loading import load_dataset

    common.check_attack_names([options.spec])
    common.choose_device(options.device)
    dataset = load_dataset(options.data, seed=options.seed)
    common.setup_tensorflow(options.device)
    import numpy as np

    from atk_latent.art_bridge.estimator import estimator_for
    from atk_latent.art_bridge.factory import make_attack
    from atk_latent.evaluation import runner
    from atk_latent.evaluation.target import Target, with_classes_of

    dataset = with_classes_of(options.target, dataset)
    x, y = (getattr(dataset, f"{name}_{options.split}") for name in "xy")
    index = select(y, options.limit, options.seed, "--limit")
    x, y = x[index], y[index]
    target = Target.load(options.target, dataset, pixels=options.pixels, trust=options.trust)
    batch_size, seed = options.batch_size, options.seed
    estimator = estimator_for(target.model, image_shape=dataset.image_shape, batch_size=batch_size)
    with common.progress_bars() as progress:
        how = target.options(runner.Options(seed, batch_size, progress), dataset)
        attack = make_attack(options.spec, estimator, replace(how.context, seed=seed))
        chunks = list(runner.attack_chunks(attack, estimator, x, y, options.spec, how))
    clean = runner.clean_predictions(estimator, x, y, batch_size=batch_size)
    result = runner.summarise(attack, chunks, runner.Case(options.spec))
    with atomic.new_parents(options.out), atomic.atomic_file(options.out) as temporary:
        np.savez_compressed(
            temporary,
            x_adv=np.concatenate([chunk.x_adv for chunk in chunks if chunk.x_adv is not None]),
            x=x,
            y=y,
            index=index,
            predictions=np.asarray(result.predictions),
        )
    return result, _Clean(dataset.name, float(np.mean(clean == y)))
