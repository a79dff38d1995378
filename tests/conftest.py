"""Quiet, deterministic, CPU-only tests; slow ones on request."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")
# The processes of pytest-xdist share the cores.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ["KERAS_BACKEND"] = "tensorflow"

import pytest  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--run-slow", action="store_true", help="also run tests marked slow")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--run-slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --run-slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch):
    """No test may depend on the user's own data folder."""
    monkeypatch.delenv("ATKL_DATA_DIR", raising=False)


@pytest.fixture
def untimed():
    """Logs of epochs without their seconds, which differ from run to run."""

    def strip(logs):
        assert all(epoch["seconds"] >= 0 for epoch in logs)
        return [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in logs]

    return strip
