"""What every record shares: frozen, typed, to JSON and back."""

from __future__ import annotations

import pydantic


class Record(pydantic.BaseModel):
    """A value of named, typed fields that does not change.

    Unknown fields of a file are left out, wrong types are refused: text is no number, a truth
    value no count.
    """

    model_config = pydantic.ConfigDict(
        frozen=True, extra="ignore", strict=True, allow_inf_nan=False
    )
