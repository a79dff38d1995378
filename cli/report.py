"""`atkl report`: result files to a page, tables and figures."""

from __future__ import annotations

from pathlib import Path

import click

from atk_latent import atomic

from . import _common as common


@click.command("report", short_help="A page, tables and figures of result files.")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Absent or empty."
)
@click.option("--title", default="Robustness report", show_default=True, help="Of the page.")
@common.json_option
@common.run_command
def report(results: tuple[Path, ...], out: Path, title: str, as_json: bool) -> None:
    """Write a report of RESULTS: files of evaluate, audit and reproduce, and run folders.

    DIR gets `index.html`, which needs no network, `report.md`, a model card for every run,
    `tables/` (CSV, LaTeX) and `figures/` (SVG, PNG). No model is loaded. Files that hold what
    became of each image also give the worst case over attacks, example images and the
    confusion of classes; published values stand beside ours.

    Results of two models or more begin with a leaderboard: for each data set, kind of attacker,
    norm and radius a table of models by their worst case over attacks, to sort and to filter,
    with links to their cards and two models image by image.

    \b
    atkl evaluate runs/ladder --data mnist --out pgd.json --attack pgd:eps=0.3
    atkl report pgd.json runs/ladder --out report
    atkl report results/*.json runs/* --out leaderboard
    """  # noqa: D301
    atomic.check_new_folder(out, parents=True)
    from atk_latent.reporting.page import make_report, write_report
    from atk_latent.results.files import read_results

    page = make_report(read_results(list(results)), title)
    with common.stdout_kept_clean(), common.progress_bars() as show, atomic.new_parents(out):
        files = write_report(page, out, show)
    if as_json:
        common.print_json({"report": out, "files": files})
        return
    for verdict in page.verdicts:
        words = (verdict.says, verdict.means, verdict.doubt)
        common.say(f"{verdict.word}. {verdict.about}: {' '.join(filter(None, words))}")
    common.say(f"Written: {files[0]} and {len(files) - 1} files beside it")
