import math

import pytest
import torch
from torch import nn

from lineage.common.stages import stage, trace


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 4, bias=False)

    @stage("project", phase="features")
    def project(self, x):
        return self.linear(x)

    @stage("score", phase="classify")
    def score(self, x):
        return x.softmax(dim=1)

    def forward(self, x):
        return self.score(self.project(x))


def test_a_trace_records_every_stage_with_flops_memory_and_tensors():
    toy, x = Toy(), torch.rand(5, 8)
    with torch.no_grad(), trace(toy) as t:
        expected = toy(x)
    assert t.names == ["project", "score"]
    assert t["project"].phase == "features"
    assert t["project"].flops == 2 * 5 * 8 * 4
    assert t["project"].peak_memory_bytes == 5 * 8 * 4 + 5 * 4 * 4  # input and output
    assert torch.equal(t["project"].inputs[0], x)
    assert torch.equal(t["score"].outputs, expected)
    assert t["score"].seconds > 0
    assert t.total("flops") == {"features": 320, "classify": 0}


def test_without_a_trace_nothing_is_recorded_and_another_detectors_trace_stays_empty():
    toy, other = Toy(), Toy()
    with trace(other) as t:
        toy(torch.rand(1, 8))
    assert t.records == []


def test_a_trace_that_does_not_count_says_so():
    toy = Toy()
    with trace(toy, count=False, keep_tensors=False) as t:
        toy(torch.rand(3, 8))
    assert t["project"].flops is None
    assert t["project"].outputs == "(3, 4)"


def test_freed_memory_is_not_counted_twice():
    class Chain(nn.Module):
        @stage("chain", phase="features")
        def chain(self, x):
            for _ in range(10):
                x = x + 1
            return x

    chain = Chain()
    with trace(chain) as t:
        chain.chain(torch.zeros(1000))
    assert t["chain"].peak_memory_bytes == 3 * 4000  # input, old and new, never all ten


def test_printing_lists_stages_shapes_and_repeated_calls():
    toy = Toy()
    with trace(toy) as t:
        toy.project(torch.rand(2, 8))
        toy.project(torch.rand(2, 8))
    line = str(t).splitlines()[1].split()
    assert line[:3] == ["project", "features", "2"]
    assert "(2, 4)" in str(t)


def test_an_exception_ends_the_trace():
    toy = Toy()
    with pytest.raises(RuntimeError), trace(toy):
        toy(torch.rand(1, 9))
    with trace(toy) as t:
        toy(torch.rand(1, 8))
    assert len(t.records) == 2


def test_an_unknown_phase_is_refused_when_the_class_is_written():
    with pytest.raises(ValueError, match="phase 'feature' is none of"):
        stage("warp", phase="feature")


def test_asking_for_a_stage_that_did_not_run_names_those_that_did():
    toy = Toy()
    with trace(toy) as t:
        toy(torch.rand(1, 8))
    with pytest.raises(KeyError, match="project, score"):
        t["warp"]


class Twice(nn.Module):
    @stage("twice", phase="features")
    def twice(self, x):
        return (x.view(10, 100).t() + x.view(10, 100).t()).relu_()


def test_work_counts_operators_and_what_they_read_and_write():
    toy = Twice()
    with trace(toy) as t:
        toy.twice(torch.ones(1000))
    work = t["twice"].work
    assert work.operators == 2  # views are free
    assert work.bytes_moved == 4000 * (3 + 2)  # two read and one written; one read and written in place
    assert t.total("operators", "name") == {"twice": 2}


def test_convolutions_are_told_from_matrix_products():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(2, 3, 1, bias=False), nn.Linear(3, 5, bias=False)

        @stage("both", phase="features")
        def both(self, x):
            return self.fc(self.conv(x).mean(dim=(2, 3)))

    both = Both()
    for context in (torch.inference_mode(), torch.no_grad()):
        with context, trace(both) as t:
            both.both(torch.rand(1, 2, 4, 4))
        assert t["both"].work.convolution_flops == 2 * 2 * 3 * 16
        assert t["both"].flops == 2 * 2 * 3 * 16 + 2 * 3 * 5


def test_a_gpus_seconds_are_read_when_the_trace_has_ended(monkeypatch):
    class Event:  # of a GPU that runs one tick a recorded event, and behind its host
        ticks = 0

        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            Event.ticks += 1
            self.tick, self.passed = Event.ticks, False

        def synchronize(self):
            self.passed = True

        def elapsed_time(self, end):
            assert end.passed
            return 1000.0 * (end.tick - self.tick)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr("lineage.common.stages._device_of", lambda module: torch.device("cuda"))
    toy = Toy()
    with trace(toy, count=False) as t:
        toy(torch.rand(1, 8))
        assert math.isnan(t["project"].seconds)
    assert t["project"].seconds == 1.0
