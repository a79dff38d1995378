"""Cards of runs that tests lay into folders."""

import json

CARD = {"date": "2026-01-31", "seed": 0, "versions": {}, "data": "digits", "preset": "quick"}
CARD |= {"settings": {}, "metrics": {}}


def write_card(folder, method):
    """Leaves the card of a finished run of `method` in `folder`."""
    (folder / "card.json").write_text(json.dumps({**CARD, "method": method}))
