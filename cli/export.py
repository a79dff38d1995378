"""`atkl export`: a SavedModel that was checked before it was put in place."""

from __future__ import annotations

import dataclasses

import click

from atk_latent import atomic

from . import _common as common


@click.command("export", short_help="Write a checked SavedModel.")
@common.target_argument
@common.data_option
@click.option("--out", required=True, metavar="DIR", help="The SavedModel; absent or empty.")
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
@common.trust_option
@common.device_option
@common.json_option
@common.run_command
def export_command(
    target: str, data: str, out: str, limit: int, device: str, as_json: bool, **how: bool
) -> None:
    """Exports TARGET as a SavedModel at DIR.

    The signature serving_default takes float32 images (batch, height, width, channels) in
    [0, 1] and gives logits. Before anything appears at DIR a fresh Python process loads
    the model and must give the same logits on images of --data. With --imt the signatures
    imt and imt_plus move each image against its adversarial probability first.
    """
    atomic.check_new_folder(out, parents=True)
    with common.stdout_kept_clean():
        common.choose_device(device)
        from atk_latent.data.loading import load_dataset

        dataset = load_dataset(data)
        common.setup_tensorflow(device)
        from atk_latent import api

        with atomic.new_parents(out):
            export = api.export(target, dataset, out, images=limit, **how)
    if as_json:
        common.print_json({"target": target, "data": dataset.name, **dataclasses.asdict(export)})
        return
    common.console().print(
        f"SavedModel written to {out}; on {export.checked} images its logits differ from the "
        f"Keras model's by at most {export.max_difference:.2g}",
        soft_wrap=True,
    )
