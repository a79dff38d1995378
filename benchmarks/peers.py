"""What is said where a peer is not installed."""

import json


def without_peer(name: str, missing: ImportError) -> None:
    """Prints the benchmark's line without a figure; a missing peer is not a failure.

    Args:
        name: of the benchmark. missing: what its import raised.
    """
    print(json.dumps({"name": name, "skipped": f"{missing}; pip install '.[bench]'"}))
