"""Who trains together: TF_CONFIG, devices, and what is refused before anything is trained."""

import json
import os
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from atk_latent.errors import InputError
from atk_latent.methods.fit import jit_compile
from atk_latent.training.request import Execution, HardenRequest, RunOptions, request_json
from atk_latent.training.team import Team, check_tf_config, strategy_for, team_for

CLUSTER = {"worker": ["a:1", "b:2"]}


def test_a_tf_config_as_it_must_be_is_taken():
    for cluster, task in (
        (CLUSTER, {"type": "worker", "index": 1}),
        ({"chief": ["a:1"], "worker": ["b:2"]}, {"type": "chief", "index": 0}),
    ):
        check_tf_config(json.dumps({"cluster": cluster, "task": task}))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "KeyError 'cluster'"),
        ({"cluster": CLUSTER}, "KeyError 'task'"),
        ({"cluster": {}, "task": {"type": "worker", "index": 0}}, "only chief and worker"),
        ({"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}, r"jobs \['ps'\]"),
        ({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}, "worker 2 is not in"),
        ({"cluster": CLUSTER, "task": {"type": "worker", "index": "x"}}, "ValueError"),
        ({"cluster": CLUSTER, "task": {"type": "chief", "index": 0}}, "KeyError 'chief'"),
        ({"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}, "host:port"),
        ({"cluster": {"worker": 3}, "task": {"type": "worker", "index": 0}}, "TypeError"),
    ],
)
def test_a_malformed_tf_config_is_one_line(text, problem):
    text = text if isinstance(text, str) else json.dumps(text)
    with pytest.raises(InputError, match=f"TF_CONFIG is malformed: .*{problem}") as error:
        check_tf_config(text)
    assert "\n" not in str(error.value)


def test_multiworker_without_a_cluster_is_refused(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("SLURM", "TF_CONFIG"))]:
        monkeypatch.delenv(name)
    with pytest.raises(InputError, match="needs TF_CONFIG, or a job step of Slurm"):
        strategy_for("multiworker")


def test_one_device_is_no_mirror_and_auto_takes_it():
    if len(tf.config.list_logical_devices("GPU")) > 1:
        pytest.skip("several GPUs")
    assert strategy_for("auto") is strategy_for("none")
    with pytest.raises(InputError, match="needs two devices, TensorFlow sees 1 here"):
        strategy_for("mirrored")


class Two:
    num_replicas_in_sync = 2


def test_a_batch_below_the_replicas_is_refused():
    Team(Two()).check_batch(2)
    with pytest.raises(InputError, match="number of replicas, 2,.* Received: 1"):
        Team(Two()).check_batch(1)


def test_xla_is_refused_on_several_replicas(monkeypatch):
    monkeypatch.setattr("atk_latent.training.team.strategy_for", lambda name: Two())
    with (
        pytest.raises(InputError, match="--jit on is for one device"),
        team_for(Execution(jit="on")),
    ):
        pass


def test_the_precision_holds_for_the_training_alone():
    with team_for(Execution(precision="mixed_bfloat16", jit="on")) as team:
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        assert jit_compile()
        assert team.note() == {"precision": "mixed_bfloat16", "replicas": None}
    assert keras.config.dtype_policy().name == "float32"
    assert not jit_compile()


def test_tensorboard_without_its_package_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    told = Execution(tensorboard=tmp_path)
    with pytest.raises(InputError, match="needs the package tensorboard"), team_for(told):
        pass


def test_a_request_in_float32_is_written_as_ever():
    request = HardenRequest("pgd", RunOptions("digits"))
    assert "precision" not in request_json(request)
    half = HardenRequest(
        "pgd", RunOptions("digits", execution=Execution(precision="mixed_float16"))
    )
    assert request_json(half) == {**request_json(request), "precision": "mixed_float16"}


def free_ports(count):
    import socket

    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_workers(folder, *arguments, count=2, differing=()):
    """Two `atkl harden` on this machine, the second with `differing` arguments at the end."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    workers = []
    for index in range(count):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        more = differing if index else ()
        log = (folder.parent / f"{folder.name}-{index}.log").open("w")
        workers.append(
            subprocess.Popen(
                [sys.executable, "-m", "atk_latent.cli", "harden", *arguments, "--strategy"]
                + ["multiworker", "--out", str(folder), *more],
                env={**os.environ, "TF_CONFIG": json.dumps(task)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        )
    return workers


def logs_of(folder):
    return [path.read_text() for path in sorted(folder.parent.glob(f"{folder.name}-*.log"))]


def weights(folder):
    return keras.models.load_model(folder / "model.keras", compile=False).get_weights()


JOB = ("--method", "atld", "--data", "digits", "--limit", "100", "--batch-size", "20")
JOB += ("--set", "discriminator=small", "--json", "--epochs")


def finished(folder, *arguments):
    workers = start_workers(folder, *arguments)
    assert [worker.wait(timeout=400) for worker in workers] == [0, 0], logs_of(folder)
    return weights(folder)


@pytest.mark.slow
def test_two_processes_train_as_one_device(tmp_path):
    alone = [sys.executable, "-m", "atk_latent.cli", "harden", *JOB, "1"]
    subprocess.run([*alone, "--out", str(tmp_path / "one")], check=True, capture_output=True)
    for a, b in zip(weights(tmp_path / "one"), finished(tmp_path / "two", *JOB, "1"), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.slow
def test_a_killed_worker_ends_the_others_and_resuming_ends_as_undisturbed(tmp_path):
    killed = tmp_path / "killed"
    workers = start_workers(killed, *JOB, "20")
    while not list(killed.glob("checkpoint/classifier/epoch-*")):
        assert all(worker.poll() is None for worker in workers), logs_of(killed)
        time.sleep(0.05)
    workers[1].kill()
    begun = time.monotonic()
    assert workers[0].wait(timeout=90) == 2, logs_of(killed)
    assert time.monotonic() - begun < 60
    assert logs_of(killed)[0].strip().splitlines()[-1].startswith("Error: another worker")
    whole = finished(tmp_path / "whole", *JOB, "20")
    for a, b in zip(whole, finished(killed, *JOB, "20", "--resume"), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_workers_with_other_arguments_are_one_line_each(tmp_path):
    job = ("--method", "pgd", "--data", "digits", "--limit", "100", "--epochs", "1")
    workers = start_workers(tmp_path / "run", *job, differing=("--seed", "3"))
    assert [worker.wait(timeout=300) for worker in workers] == [2, 2], logs_of(tmp_path / "run")
    for log in logs_of(tmp_path / "run"):
        assert "were started with different arguments" in log and "Traceback" not in log
    assert not (tmp_path / "run" / "request.json").exists()
