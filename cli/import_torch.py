"""`atkl import-torch`: weights of PyTorch as a Keras model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atk_latent import atomic, config
from atk_latent.errors import InputError

from . import _common as common

if TYPE_CHECKING:
    from atk_latent.models.torch_import import ImportRecord

_SOURCES = {
    "arguments": "--mean and --std",
    "checkpoint": "the checkpoint",
    "model": "the architecture",
}


@click.command("import-torch", short_help="A PyTorch checkpoint to a Keras model.")
@click.argument("checkpoint")
@click.option(
    "--model",
    required=True,
    metavar="NAME|plain:PARTS|FILE.keras",
    help="A registered architecture (atkl list models), a small network written out, or a Keras "
    "model of the same architecture.",
)
@click.option("--out", required=True, metavar="FILE.keras", help="The model; must not exist yet.")
@click.option("--force", is_flag=True, help="Replace an existing --out file.")
@click.option(
    "--key",
    metavar="NAME",
    help="Which weights, where the file holds several: ema, or state_dict.0. Default: what lies "
    "under state_dict, net, model or the like.",
)
@click.option(
    "--input-shape",
    metavar="HxWxC",
    help="Of the images, such as 32x32x3. Default: what the architecture is made for.",
)
@click.option(
    "--mean",
    metavar="NUMBERS",
    help="Images go in as (x - mean) / std, x in [0, 1]: one number, or one a channel with commas "
    "between. Default: as the checkpoint says, else as the architecture does.",
)
@click.option("--std", metavar="NUMBERS", help="See --mean.")
@click.option(
    "--skip",
    multiple=True,
    metavar="PREFIX",
    help="Leave out PyTorch modules whose names begin so; may be repeated.",
)
@click.option(
    "--check",
    metavar="MODULE:CALLABLE",
    help="Compare logits with PyTorch's: CALLABLE() makes the PyTorch network. Runs your code; "
    "needs torch.",
)
@common.device_option
@common.json_option
@common.run_command
def import_torch(
    checkpoint: str, model: str, out: str, force: bool, device: str, as_json: bool, **options: Any
) -> None:
    """Writes the weights of CHECKPOINT, a file of torch.save, as a Keras model.

    No code of the file is run and PyTorch is not needed. Layers are matched by order and shape;
    where anything is left over, it is listed and nothing is written. The model takes images in
    [0, 1] and gives logits.

    --model plain:16x4s2p1,32x4s2p1,100 writes a small network out: parts with commas between
    them. 16x4s2p1 is a convolution to 16 channels with 4x4 kernels, stride 2 (else 1) and 1
    pixel of padding on every side (else 0); bn behind it adds batch norm. max2 and avg2 pool by
    2, gap over the whole map. 100 is a dense layer. A ReLU follows every convolution and dense
    layer, and the dense layer of the classes comes last by itself.
    """
    if Path(out).suffix != ".keras":
        raise InputError(f"--out must end in .keras. Received: {out!r}")
    atomic.check_new_file(out, replace=force)
    statistics = _statistics(options.pop("mean"), options.pop("std"))
    shape = _image_shape(options.pop("input_shape"))
    with common.stdout_kept_clean():
        common.setup_tensorflow(device)
        from atk_latent.models.input_scale import Statistics
        from atk_latent.models.torch_import import TorchImport

        scaling = Statistics(*statistics) if statistics else None
        wanted = TorchImport(checkpoint, model, input_shape=shape, statistics=scaling, **options)
        imported = wanted.run()
        with atomic.atomic_file(out) as temporary:
            imported.model.save(temporary)
    if as_json:
        common.print_json({**imported.record.model_dump(), "out": out})
        return
    for line in _lines(imported.record):
        common.say(line)
    common.say(f"Written to {out}")


def _statistics(
    mean: str | None, std: str | None
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and deviation as numbers; None where neither is given."""
    if (mean is None) != (std is None):
        raise InputError("--mean and --std belong together; one of them came alone")
    if mean is None or std is None:
        return None
    kind = tuple[float, ...]
    return config.convert("mean", mean, kind), config.convert("std", std, kind)


def _image_shape(text: str | None) -> tuple[int, int, int] | None:
    """Height, width and channels."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdecimal() and 0 < int(part) < 10_000 for part in parts):
        raise InputError(f"--input-shape must read HxWxC, such as 32x32x3. Received: {text!r}")
    height, width, channels = (int(part) for part in parts)
    return height, width, channels


def _lines(record: ImportRecord) -> Iterator[str]:
    """The record in words."""
    place = f" under {record.key}" if record.key else ""
    yield (
        f"{record.parameters:,} numbers of {record.checkpoint}{place} fill {record.layers} layers "
        f"of {record.model}"
    )
    mean, std = (", ".join(f"{value:g}" for value in v) for v in (record.mean, record.std))
    source = _SOURCES[record.scaled_by]
    yield f"Images in [0, 1] are scaled by mean {mean} and std {std}, from {source}"
    if record.max_difference is not None:
        yield f"PyTorch's logits differ by at most {record.max_difference:.2g}"
    for note in record.notes:
        yield f"Note: {note}"
