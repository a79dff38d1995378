"""`atkl export`: a model for other programs, checked before it was put in place."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from atk_latent import atomic

from . import _common as common


@click.command("export", short_help="Write a checked SavedModel, ONNX or TFLite model.")
@common.target_argument
@common.data_option
@click.option("--out", required=True, metavar="PATH", help="The SavedModel's folder, or the file.")
@click.option(
    "--format",
    type=click.Choice(["savedmodel", "onnx", "tflite"]),
    default="savedmodel",
    show_default=True,
    help="onnx needs pip install 'atk-latent[onnx]'.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Test images to check the exported model with.",
)
@click.option(
    "--imt", is_flag=True, help="Also the signatures imt and imt_plus; TARGET is an ATLD run."
)
@common.device_option
@common.json_option
@common.run_command
@common.pixel_options
def export_command(target: str, data: str, device: str, as_json: bool, **options: Any) -> None:
    """Exports TARGET for other programs: as a SavedModel, ONNX or TFLite.

    It takes float32 images (batch, height, width, channels) in [0, 1] and ends as TARGET came:
    in logits, softmax or sigmoid. Before anything appears at --out a fresh Python process loads
    it and must give the same outputs on images of --data. The signature of a SavedModel is
    serving_default; with --imt the signatures imt and imt_plus move each image against its
    adversarial probability first.
    """
    out, is_folder = options["out"], options["format"] == "savedmodel"
    (atomic.check_new_folder if is_folder else atomic.check_new_file)(out, parents=True)
    with common.stdout_kept_clean():
        common.choose_device(device)
        from atk_latent.data.loading import load_dataset

        dataset = load_dataset(data)
        common.setup_tensorflow(device)
        from atk_latent import api

        with atomic.new_parents(out):
            export = api.export(target, dataset, images=options.pop("limit"), **options)
    if as_json:
        common.print_json({"target": target, "data": dataset.name, **dataclasses.asdict(export)})
        return
    common.console().print(
        f"{export.format} written to {out}; on {export.checked} images its outputs differ from "
        f"the Keras model's by at most {export.max_difference:.2g}",
        soft_wrap=True,
    )
