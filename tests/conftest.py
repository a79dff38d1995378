"""Quiet, deterministic, CPU-only tests; slow ones and those of a GPU on request."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "--run-gpu" not in sys.argv:
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")
# The processes of pytest-xdist share the cores.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ["KERAS_BACKEND"] = "tensorflow"

import pytest  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--run-slow", action="store_true", help="also run tests marked slow")
    parser.addoption("--run-gpu", action="store_true", help="also run tests marked gpu")


def pytest_collection_modifyitems(config, items):
    for mark in ("slow", "gpu"):
        if not config.getoption(f"--run-{mark}"):
            skip = pytest.mark.skip(reason=f"{mark}: run with --run-{mark}")
            for item in items:
                if mark in item.keywords:
                    item.add_marker(skip)


def pytest_runtest_setup(item):
    if "gpu" in item.keywords:
        import tensorflow as tf

        if not tf.config.list_physical_devices("GPU"):
            pytest.skip("gpu: there is none")


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
