"""What `request.json` of a run folder holds."""

from __future__ import annotations

from atk_latent.results.record import Count, Json, Record, optional


class StoredRequest(Record):
    """The fields of `request.json`; an earlier version may have left some out.

    Args:
        method, data, preset, model, overrides, limit, seed: as in `RunOptions` and the requests.
        data_fingerprint: of the images and labels; None where nobody noted it.
        input_range, preprocess: what the model wants that the run starts from.
    """

    method: str | None = None
    data: str | None = None
    preset: str | None = None
    model: str | None = None
    overrides: Json = {}
    limit: Count | None = None
    seed: Count | None = None
    data_fingerprint: str | None = optional()
    input_range: str | None = optional()
    preprocess: str | None = optional()
