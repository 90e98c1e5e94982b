"""Steps that worker processes load: the same as here, and no process, warning or error of theirs goes astray."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from lineage.common.augment import Augmentation, augment, draw_mirror
from lineage.common.image import Frame
from lineage.common.loading import SENT_AS_BYTES, Steps, images_of_step, loaded_ahead
from lineage.common.optimise import Solver, TrainingError, optimise
from lineage.common.running import Running
from lineage.data.decoded import share_memory
from lineage.data.joined import JoinedVOC
from lineage.data.shapes import write_shapes
from lineage.data.voc import VOCDataset, VOCFormatError

PICTURES = torch.rand(5, 3, 61, 83, generator=torch.Generator().manual_seed(1))  # larger than what is sent as bytes


def load(*, indices, generator):
    """All kinds of containers, large and small tensors, and draws."""
    boxes = torch.tensor([[1.0, 2, 30, 40]])
    images, targets = [], []
    for index in indices:
        image, moved = augment(
            PICTURES[index], boxes, draw_mirror(True, generator), Augmentation(0.3, 1.4, True), generator
        )
        images.append(image)
        targets.append({"boxes": moved, "labels": torch.tensor([index])})
    frame = Frame(torch.rand(1, 3, 40, 40, generator=generator), (40, 39), 0.5, 0.25)
    return images, targets, None, frame, "name"


def parts_of(batch):
    """Every leaf."""
    if isinstance(batch, dict):
        return [leaf for key in sorted(batch) for leaf in parts_of(batch[key])]
    if isinstance(batch, (list, tuple)):
        return [type(batch), *(leaf for one in batch for leaf in parts_of(one))]
    return [batch]


def same(a, b):
    a, b = parts_of(a), parts_of(b)
    return len(a) == len(b) and all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in zip(a, b))


def taken(workers, wanted=range(2, 9), **options):
    """The minibatches of some steps, and what the losses would draw."""
    with loaded_ahead(Steps(load, 5, 2, 2, seed=3), wanted, workers, **options) as steps:
        return [(one.minibatches, torch.stack([torch.rand(3, generator=g) for g in one.generators])) for one in steps]


@pytest.fixture
def two_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)


def test_workers_send_what_would_be_loaded_here(two_threads):
    here = taken(0)
    assert PICTURES[0].nbytes > SENT_AS_BYTES > 100
    assert len(here) == 7 and [len(parts) for parts, _ in here] == [2] * 7
    assert not same(here[0][0], here[1][0])
    for workers in (1, 2, 3):
        for one, other in zip(here, taken(workers), strict=True):
            assert same(one[0], other[0]) and torch.equal(one[1], other[1])


def test_so_do_processes_that_were_not_forked(two_threads):
    """As on every system but Linux."""
    for one, other in zip(taken(0, range(2)), taken(1, range(2), context="spawn"), strict=True):
        assert same(one[0], other[0]) and torch.equal(one[1], other[1])


def test_the_minibatches_of_a_step_are_its_pictures_in_their_order():
    (minibatches, _), *_ = taken(0, range(4, 5))
    seen = [int(target["labels"]) for _, targets, *_ in minibatches for target in targets]
    assert seen == images_of_step(5, 4, 3, 4)


def test_a_process_loads_its_own_minibatches_as_one_loads_all():
    (everything,) = (Steps(load, 5, 2, 3, seed=3)[step] for step in (4,))
    for own in (range(0, 3, 2), range(1, 3, 2)):
        part = Steps(load, 5, 2, 3, seed=3, own=own)[4]
        assert same(part.minibatches, [everything.minibatches[number] for number in own])
        for number, generator in zip(own, part.generators):
            assert torch.equal(generator.get_state(), everything.generators[number].get_state())


def test_nobody_elses_numbers_are_drawn():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    taken(1, range(2))
    assert torch.equal(torch.rand(3), expected)


def refuse(*, indices, generator):
    if 3 in indices:
        raise VOCFormatError("3.jpg: cannot be read")
    return indices


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def fail_oddly(*, indices, generator):
    raise Unpicklable("this", "that")


def warn(*, indices, generator):
    warnings.warn("box clipped", stacklevel=1)
    return torch.get_num_threads()


def die(*, indices, generator):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_loaded_is_the_same_error_from_wherever(workers):
    before = multiprocessing.active_children()  # other tests' processes
    with (
        pytest.raises(VOCFormatError, match=r"^3.jpg: cannot be read$") as caught,
        loaded_ahead(Steps(refuse, 5, 2, 1, seed=0), range(5), workers) as steps,
    ):
        list(steps)
    if workers:
        assert "in refuse" in str(caught.value.__cause__)  # where in the worker, for whoever looks for a mistake
    assert [child for child in multiprocessing.active_children() if child not in before] == []  # though the error lives


def test_an_error_that_cannot_be_sent_is_told():
    with (
        pytest.raises(RuntimeError, match="Unpicklable: this and that"),
        loaded_ahead(Steps(fail_oddly, 5, 2, 1, seed=0), range(2), 1) as steps,
    ):
        next(steps)


def test_a_workers_warnings_are_given_here_and_once():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        with loaded_ahead(Steps(warn, 5, 2, 1, seed=0), range(6), 2) as steps:
            assert [found.minibatches for found in steps] == [[1]] * 6  # thread
    assert [str(one.message) for one in caught if "clipped" in str(one.message)] == ["box clipped"]


def test_a_worker_that_is_killed_is_one_sentence(tmp_path):
    solver = Solver("sgd", 0.1, steps=3, images_per_step=1, weight_decay=0.0)
    with pytest.raises(TrainingError, match=r"^toy: step 0: a process that loads pictures died.*--workers 0"):
        optimise(
            [nn.Linear(1, 1)], lambda batch, generator: {}, 5, solver, seed=0, label="toy", load=die,
            running=Running(workers=1),
        )  # fmt: skip


def test_without_shared_memory_the_bytes_are_sent_and_it_is_said(monkeypatch):
    def none_left(tensor):
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", none_left)  # in the workers, which are forked from here
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        found = taken(2)
    assert all(same(one[0], other[0]) for one, other in zip(taken(0), found, strict=True))
    assert sum("no shared memory is left" in str(one.message) for one in caught) == 1


def no_process(*pids):
    for _ in range(100):
        alive = [pid for pid in pids if Path(f"/proc/{pid}/stat").exists() and " Z " not in _stat(pid)]
        if not alive:
            return True
        time.sleep(0.1)
    return False


def _stat(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return " Z "


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_leaves_the_state_and_no_process(tmp_path, kill):
    """Pressed in a terminal it reaches all processes. Whoever kills the parent alone leaves none either."""
    script = textwrap.dedent("""
        import multiprocessing, signal, sys, time, torch
        from pathlib import Path
        from lineage.common.optimise import Solver, optimise
        from lineage.common.running import Running

        def load(*, indices, generator):
            return torch.rand(3, 100, 100, generator=generator)

        def tell(label, step, values):
            if step == 3:
                print(*(one.pid for one in multiprocessing.active_children()), flush=True)
            if step >= 3:
                time.sleep(0.2)

        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by whoever was started in the background
        layer = torch.nn.Linear(1, 1)
        solver = Solver("sgd", 0.1, steps=1000, images_per_step=1, weight_decay=0.0)
        optimise(
            [layer], lambda batch, generator: {"toy": layer.weight.sum()}, 5, solver, seed=0, label="toy",
            load=load, resume=Path(sys.argv[1]), running=Running(workers=2, listen=tell),
        )
    """)
    resume = tmp_path / "state.safetensors"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(resume)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 2, process.stderr.read()
        if kill == signal.SIGINT:
            os.killpg(process.pid, kill)
            _, said = process.communicate(timeout=60)
            assert resume.is_file() and said.count("Traceback") == 1 and "KeyboardInterrupt" in said
        else:
            process.kill()
    assert no_process(*workers)


def test_workers_share_the_memory_for_decoded_pictures(tmp_path, monkeypatch):
    for name, seed in (("a", 0), ("b", 1)):
        write_shapes(tmp_path / name, trainval=3, test=1, jobs=1, seed=seed)
    parts = [VOCDataset(tmp_path / name, "trainval", ("disk",)) for name in ("a", "b")]
    one_picture = 3 * 240 * 320
    monkeypatch.setattr("lineage.data.decoded.DECODED_BYTES", 4 * one_picture)
    share_memory(parts[0], 2)
    assert parts[0]._room == 2 * one_picture
    share_memory(parts[0], 1)
    assert parts[0]._room == 2 * one_picture, "what is kept already counts"
    joined = JoinedVOC.__new__(JoinedVOC)
    joined.parts = parts
    share_memory(joined, 4)
    assert [part._room for part in parts] == [one_picture] * 2


def test_a_prepared_worker_is_prepared_before_it_loads():
    shared = torch.zeros(1).share_memory_()
    with loaded_ahead(Steps(partial(_value_of, shared), 5, 2, 1, seed=0), range(2), 1,
                      prepare_worker=partial(shared.fill_, 7)) as steps:  # fmt: skip
        assert [float(found.minibatches[0]) for found in steps] == [7, 7]


def _value_of(shared, *, indices, generator):
    return shared.clone()
