"""Ray itself: the numbers of a serial run, workers that are killed, nothing left behind."""

import ast
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import pytest

from atk_latent.errors import InputError
from atk_latent.evaluation import ray_cluster
from tests.evaluation.test_killed import without_time

ROOT = Path(__file__).resolve().parents[2]


def test_without_ray_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'atk-latent\[ray\]'"):
        ray_cluster.import_ray()


def test_ray_is_imported_nowhere_but_inside_functions():
    for path in [*ROOT.glob("atk_latent/**/*.py"), *ROOT.glob("cli/*.py")]:
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in getattr(node, "names", ())]
            assert "ray" not in (*names, getattr(node, "module", None)), path


def test_an_address_is_read_before_anything_is_tried():
    pytest.importorskip("ray")
    refused = pytest.raises(InputError, match="local, auto or the address")
    with refused, ray_cluster.connected("somewhere"):
        pass


@pytest.fixture
def port():
    """A socket with a port of its own, which does not listen yet."""
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        yield mine


def given_up(port):
    """The seconds that it takes to refuse the port of a socket."""
    pytest.importorskip("ray")
    began = time.monotonic()
    refused = pytest.raises(InputError, match="no Ray answers at")
    with refused, ray_cluster.connected(f"127.0.0.1:{port.getsockname()[1]}"):
        pass
    return time.monotonic() - began


def test_a_closed_port_is_refused_at_once(port):
    assert given_up(port) < 10


@pytest.mark.slow
def test_what_does_not_answer_is_given_up_within_twenty_seconds(port):
    port.listen()  # it takes the connection and never says a word
    assert given_up(port) < 20.5


ATTACKS = ("pgd:eps=0.1,steps=200", "square:eps=0.1,queries=100")
IMAGES, BATCH = 120, 5


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    pytest.importorskip("ray")
    folder = tmp_path_factory.mktemp("place")
    keras.utils.set_random_seed(0)
    layers = [keras.Input((28, 28, 1)), keras.layers.Conv2D(8, 5, 2), keras.layers.Flatten()]
    keras.Sequential([*layers, keras.layers.Dense(10)]).save(folder / "model.keras")
    return folder


def started(place, name, *more):
    attacks = [word for attack in ATTACKS for word in ("--attack", attack)]
    arguments = [
        *("evaluate", place / "model.keras", "--data", "digits", "--limit", IMAGES, *attacks),
        *("--batch-size", BATCH, "--device", "cpu", "--out", place / f"{name}.json", *more),
        *("--store", place / f"{name}-store"),
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "atk_latent.cli", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def children(pid):
    """All processes below one, with their command lines."""
    below, found = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            line = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, ValueError):  # it has ended
            continue
        below.setdefault(parent, []).append((int(stat.parent.name), line))
    todo = [pid]
    while todo:
        for child, line in below.get(todo.pop(), []):
            found[child] = line
            todo.append(child)
    return found


def chunks(place, name):
    return len(list((place / f"{name}-store").glob("*/[0-9]*.npz")))


def wait_for(condition, process, seconds=200):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.05)


def finished(process, place, name):
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    return without_time(json.loads((place / f"{name}.json").read_text()))


LOCAL = ("--ray", "local", "--workers", 2)


@pytest.mark.slow
def test_workers_that_are_killed_cost_their_chunk_only(place):
    serial = finished(started(place, "serial"), place, "serial")
    process, killed = started(place, "ray", *LOCAL), 0
    while killed < 4:
        before = chunks(place, "ray")
        wait_for(lambda before=before: chunks(place, "ray") > before, process)
        busy = [pid for pid, line in children(process.pid).items() if "RayWorker.run" in line]
        if busy:
            os.kill(busy[0], signal.SIGKILL)
            killed += 1
    assert finished(process, place, "ray") == serial
    assert chunks(place, "ray") == len(ATTACKS) * IMAGES // BATCH


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_command_that_is_ended_leaves_nothing_running(place, name):
    process = started(place, name, *LOCAL)
    wait_for(lambda: chunks(place, name) > 0, process)
    below = children(process.pid)
    assert any("raylet" in line for line in below.values())
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (-9 if name == "SIGKILL" else 130), errors
    assert "Traceback" not in errors and not (place / f"{name}.json").exists()
    if name == "SIGKILL":  # Ray's own agents notice by themselves, a minute or two later
        below = {pid: line for pid, line in below.items() if "Agent" not in line}
    end = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in below) and time.monotonic() < end:
        time.sleep(0.2)
    assert not [line for pid, line in below.items() if Path(f"/proc/{pid}").exists()]
    assert finished(started(place, name, *LOCAL), place, name)["n"] == IMAGES  # and it goes on


def test_a_job_runs_in_workers_and_what_it_raises_comes_back():
    """The one test of Ray itself that is cheap enough for every day."""
    pytest.importorskip("ray")
    from atk_latent.evaluation.executors import Task
    from atk_latent.evaluation.ray_executor import RayExecutor

    with RayExecutor("local", workers=1) as executor:
        assert sorted(r for _, r in executor.run(Task(i, pow, (i, 2)) for i in range(4))) == [
            *(0, 1, 4, 9),
        ]
        with pytest.raises(ZeroDivisionError):
            list(executor.run([Task(0, divmod, (1, 0))]))
        assert [r for _, r in executor.run([Task(0, os.getpid)])] != [os.getpid()]
        local = Task(0, os.getpid, is_local=True)
        assert [r for _, r in executor.run([local])] == [os.getpid()]
    import ray

    assert not ray.is_initialized()
