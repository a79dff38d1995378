"""The classifiers of ATLD's tables."""

from __future__ import annotations

from atk_latent.reproduction.experiment import RowSpec, Settings

_EPS: Settings = {"eps": "{eps}"}
_TRADES: Settings = {**_EPS, "beta": 6.0}
_MORE: Settings = {"extra_data": "{unlabelled}"}
VANILLA = RowSpec("vanilla", "natural", inference="none")
PGD_TRAINING = RowSpec("PGD training", "pgd", _EPS, inference="none")
TRADES = RowSpec("TRADES", "trades", _EPS, inference="none")
SCATTERING = RowSpec("feature scattering", "feature-scattering", _EPS, inference="none")
AGENTS = (VANILLA, PGD_TRAINING)  # on whom transfer attacks are made where there is no other
RESNETS = (  # Table III's own
    RowSpec("vanilla agent", "natural", model="{agent}"),
    RowSpec("PGD agent", "pgd", _EPS, model="{agent}"),
)
INFERENCES = {"ATLD-": "none", "ATLD": "imt", "ATLD+": "imt+"}
GAMES = tuple(
    RowSpec(
        f"{name} ({preset})",
        "atld",
        preset=preset,
        folder=preset,
        inference=inference,
        is_timed=inference != "imt+",
    )
    for preset in ("paper", "official", "stable")
    for name, inference in INFERENCES.items()
)
OFFICIAL = tuple(row for row in GAMES if row.preset == "official")
ROWS = (*AGENTS, *GAMES)  # where the paper has no table
PAPER_ROWS = (  # Tables I and II
    *AGENTS,
    RowSpec("TLA", "tla", _EPS, inference="none"),
    RowSpec("LAT", "lat", _EPS, inference="none"),
    RowSpec("Bilateral", "bilateral", _EPS, inference="none"),
    TRADES,
    SCATTERING,
    *GAMES,
)
PRETRAINED = RowSpec("pretrained", "pgd", _EPS, data="{other}")
TABLE_FOUR_ROWS = (
    PGD_TRAINING,
    TRADES,
    SCATTERING,
    RowSpec("early stopping", "pgd", {**_EPS, "early_stopping": True}, inference="none"),
    RowSpec(
        "pretraining",
        "pgd",
        {**_EPS, "epochs": "{tuning}", "learning_rate": 0.01, "decay_epochs": None},
        start=PRETRAINED,
        inference="none",
    ),
    RowSpec(
        "WAR",
        "trades",
        {**_EPS, **_MORE, "beta": "{wide_beta}"},
        model="{wide}",
        inference="none",
    ),
    RowSpec("RTS", "trades", {**_TRADES, **_MORE}, inference="none"),
    RowSpec("Gowal et al.", "trades", {**_TRADES, "ema": 0.995}, model="{silu}", inference="none"),
    RowSpec(
        "Gowal et al., more images",
        "trades",
        {**_TRADES, **_MORE, "ema": 0.995, "extra_share": 0.7},
        model="{silu}",
        inference="none",
    ),
    *OFFICIAL,
)
