"""What the page's script knows of a leaderboard, as JSON that ends no element."""

from __future__ import annotations

import base64
import json

import numpy as np

from atk_latent.errors import visible
from atk_latent.reporting.leaderboard import Board, Leaderboard
from atk_latent.reporting.trials import ImageSet

_ESCAPES = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


def script_data(leaderboard: Leaderboard) -> str:
    """The rows whose single images are known, by board, and the images, as a JSON object.

    `boards` maps a board's name to its rows: `name`, `set`, the place of its images in `sets`,
    and `alive`: one bit an image, the first in the highest bit, base64. An element of `sets`
    holds `labels`, the true class of each image, and `names`, of the classes.
    """
    sets: dict[ImageSet, int] = {}
    boards = {board.name: _rows(board, sets) for board in leaderboard.boards}
    images = [
        {"labels": list(each.labels), "names": [visible(name) for name in each.class_names]}
        for each in sets
    ]
    content = json.dumps({"boards": boards, "sets": images}, ensure_ascii=False)
    return content.translate(_ESCAPES)


def _rows(board: Board, sets: dict[ImageSet, int]) -> list[dict[str, str | int]]:
    return [
        {
            "name": f"{number}  {visible(row.model.name)}",
            "set": sets.setdefault(row.images, len(sets)),
            "alive": base64.b64encode(np.packbits(row.survivors).tobytes()).decode("ascii"),
        }
        for number, row in enumerate(board.rows, 1)
        if row.images is not None and row.survivors is not None
    ]
