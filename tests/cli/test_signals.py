"""SIGTERM ends a command as Ctrl-C does; two commands in one folder do not mix."""

import json
import os
import select
import signal
import subprocess
import sys
import time

import pytest

WAITS = """
import os, time
import click
from atk_latent.cli import _common, main

@click.command("wait")
@_common.run_command
def wait():
    with _common.progress_bars() as show:
        show("waiting", 1, 2)
        os.write(1, b"ready\\n")
        time.sleep(60)

main.LazyGroup.get_command = lambda *_: wait
main.main(["wait"])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_command_with_one_line_and_130(number):
    child = subprocess.Popen(
        [sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 130
    assert errors == "Interrupted; nothing half-written is left.\n"


def test_a_signal_gives_the_cursor_back():
    master, terminal = os.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=terminal, text=True
    )
    os.close(terminal)
    assert child.stdout.readline() == "ready\n"
    child.terminate()
    shown, end = b"", time.monotonic() + 20
    try:
        while time.monotonic() < end and select.select([master], [], [], 1.0)[0]:
            shown += os.read(master, 4096)
    except OSError:  # the other end is closed
        pass
    finally:
        child.kill() if child.poll() is None and time.monotonic() >= end else None
        child.wait(20)
        child.stdout.close()
        os.close(master)
    assert child.returncode == 130
    assert b"\x1b[?25l" in shown and shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")


def started(folder, *more):
    arguments = ["harden", "--method", "natural", "--data", "digits", "--out", str(folder)]
    arguments += ["--epochs", "200", "--set", "algorithm=sgd", "--device", "cpu", "--json", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "atk_latent.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_two_trainings_in_one_folder_and_a_sigterm(tmp_path):
    folder = tmp_path / "run"
    first = started(folder)
    end = time.monotonic() + 120
    while not list(folder.glob("checkpoint/classifier/epoch-*")):
        assert first.poll() is None and time.monotonic() < end, first.communicate()[1]
        time.sleep(0.05)
    for more in ([], ["--resume"]):
        second = started(folder, *more)
        _, errors = second.communicate(timeout=120)
        assert second.returncode == 2
        assert errors.startswith(f"Error: --out {folder} is in use by process {first.pid} on ")
        assert len(errors.splitlines()) == 1
    first.send_signal(signal.SIGTERM)
    _, errors = first.communicate(timeout=60)
    assert first.returncode == 130
    assert errors.splitlines()[-1].startswith("Stopped. The same command with --resume goes on")
    assert not list(folder.rglob(".*"))
    third = started(folder, "--resume")
    output, errors = third.communicate(timeout=300)
    assert third.returncode == 0, errors
    assert json.loads(output)["resumed"]
