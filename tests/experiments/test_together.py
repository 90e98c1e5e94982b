"""Several processes, as torchrun starts them, come to what one comes to; and a job goes on when one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from share_out import MINIBATCHES, everything
from typer.testing import CliRunner

from lineage import train
from lineage.common.checkpoint import load_checkpoint
from lineage.common.linear import CHOICE, onednn_is_quicker
from lineage.common.together import (
    apart,
    as_the_first,
    gathered,
    is_first,
    made_by_first,
    own_share,
    rank,
    summed,
    world,
)
from lineage.data.shapes import write_shapes

HERE = Path(__file__).parent
# Gradients are sums of float32 in another order, and AdamW makes a whole step of a gradient near 0: up to 2 % of a
# layer's bias. Without the other processes' gradients losses differ by 2 to 40 %, weights by up to their whole size.
LOSS, WEIGHTS = 1e-4, 5e-2


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_shapes(folder, trainval=MINIBATCHES, test=1, jobs=1)
    return folder


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """What this process comes to."""
    with like_a_process_of_a_job():
        return everything(tmp_path_factory.mktemp("alone"), data)


@contextmanager
def like_a_process_of_a_job():
    """One thread, as two add in another order, and no library chosen by a measurement."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    onednn_is_quicker.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(CHOICE, "0")
            yield
    finally:
        onednn_is_quicker.cache_clear()
        torch.set_num_threads(threads)


def torchrun(count: int, *command: object, restarts: int = 0, **options) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", CHOICE: "0"}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count, "--max-restarts", restarts]
    return subprocess.Popen(
        [sys.executable, *map(str, (*launch, *command))], env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, **options,
    )  # fmt: skip


@pytest.mark.parametrize("count", [2, 3])
def test_processes_come_to_what_one_comes_to(count, data, alone, tmp_path):
    job = torchrun(count, HERE / "share_out.py", tmp_path, data)
    said, _ = job.communicate(timeout=300)
    assert job.returncode == 0, said[-3000:]
    found, facts = load_checkpoint(tmp_path / "result.safetensors")
    assert facts["world"] == count and found.keys() == alone.keys()
    for name, tensor in alone.items():
        if ".loss." in name:
            assert found[name].tolist() == pytest.approx(tensor.tolist(), rel=LOSS), name
        elif ".weights." in name:
            assert (found[name] - tensor).norm() <= WEIGHTS * tensor.norm(), name
        else:  # proposals, SVMs, regressors, detections
            assert torch.equal(found[name], tensor), name


def test_one_process_is_a_job_as_well():
    assert (world(), rank(), is_first()) == (1, 0, True)
    assert gathered("x") == ["x"] and as_the_first(lambda: 3) == 3 and list(own_share(range(5))) == [0, 1, 2, 3, 4]
    tensor = torch.ones(3)
    summed([tensor])
    assert tensor.tolist() == [1, 1, 1]
    made = []
    made_by_first(lambda: made.append(world()))
    with apart():
        assert world() == 1 and made == [1]


TRAIN = ["fast_rcnn", "--steps", "60", "--set", "solver.images_per_step=1", "--proposals", "40", "--data", "data"]


@pytest.mark.skipif(
    not os.environ.get("LINEAGE_WHOLE"),
    reason="one run in four, restarted processes cannot connect (gloo), and why is not known; LINEAGE_WHOLE=1 runs it",
)
def test_who_is_killed_ends_the_job_and_torchrun_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    """To those of one process that nobody disturbs: of two minibatches' gradients the sum has one order."""
    monkeypatch.chdir(tmp_path)
    write_shapes(tmp_path / "data", trainval=4, test=1, jobs=1)
    options = [*TRAIN, "--accumulate", "2", "--cache"]
    job = torchrun(2, "-m", "lineage.train", *options, "shared", "-o", "killed.safetensors", restarts=3)
    deadline = time.monotonic() + 200
    while (
        not list(Path("shared/models").glob("fast_rcnn*.work")) and time.monotonic() < deadline and job.poll() is None
    ):
        time.sleep(0.05)
    (second,) = [pid for pid in processes_of(job.pid) if environment_of(pid).get("RANK") == "1"]
    os.kill(second, signal.SIGKILL)
    said = job.communicate(timeout=240)[0]
    assert job.returncode == 0 and "written: killed.safetensors" in said, said[-3000:]
    with like_a_process_of_a_job():
        whole = CliRunner().invoke(train.app, [*options, "own", "-o", "whole.safetensors"])
    assert whole.exit_code == 0, whole.output
    one, other = (load_checkpoint(f"{name}.safetensors")[0] for name in ("whole", "killed"))
    assert all(torch.equal(other[name], tensor) for name, tensor in one.items())


def test_more_processes_than_minibatches_are_refused_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_shapes(tmp_path / "data", trainval=4, test=1, jobs=1)
    job = torchrun(2, "-m", "lineage.train", *TRAIN, "--cache", "cache")
    said = job.communicate(timeout=200)[0]
    assert job.returncode != 0 and said.count("--accumulate 2 makes them") == 1, said[-3000:]


def processes_of(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def environment_of(process: int) -> dict[str, str]:
    pairs = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return dict(pair.decode().partition("=")[::2] for pair in pairs if pair)
