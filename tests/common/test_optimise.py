import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lineage.common.history import History
from lineage.common.loading import images_of_step
from lineage.common.optimise import Solver, TrainingError, make_optimiser, optimise
from lineage.common.resume import run_once

SGD = Solver("sgd", learning_rate=0.1, steps=20, images_per_step=2, weight_decay=1e-3)
ADAMW = Solver("adamw", learning_rate=0.01, steps=20, images_per_step=2, weight_decay=0.1, decay="cosine", warmup=3)


# ---- schedules ----------------------------------------------------------------------------------


def test_step_decay_multiplies_by_a_tenth_at_each_boundary():
    solver = Solver("sgd", 1.0, steps=10, images_per_step=1, weight_decay=0.0, decay_at=(3, 6))
    expected = [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01]
    assert [solver.rate(step) for step in range(10)] == pytest.approx(expected)


def test_cosine_falls_from_1_through_a_half_to_almost_0():
    solver = Solver("sgd", 1.0, steps=100, images_per_step=1, weight_decay=0.0, decay="cosine")
    rates = [solver.rate(step) for step in range(100)]
    assert rates[0] == 1.0
    assert rates[50] == pytest.approx(0.5)
    assert 0 < rates[99] < 1e-3
    assert all(later < earlier for earlier, later in zip(rates, rates[1:]))


def test_a_shortened_schedule_has_the_same_shape():
    solver = Solver("sgd", 0.1, steps=80, images_per_step=1, weight_decay=0, decay_at=(40, 60), warmup=20)
    short = solver.shortened(8)
    assert (short.steps, short.warmup, short.decay_at, short.learning_rate) == (8, 2, (4, 6), 0.1)
    assert solver.shortened(80) == solver


def test_warm_up_rises_linearly_and_never_starts_at_0():
    solver = Solver("sgd", 1.0, steps=100, images_per_step=1, weight_decay=0.0, warmup=4)
    assert [solver.rate(step) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


# ---- which pictures -----------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 3))
def test_every_epoch_sees_every_picture_once(num_images, images_per_step, seed):
    steps = 3 * num_images  # three epochs a picture of each step
    seen = [i for step in range(steps) for i in images_of_step(num_images, images_per_step, seed, step)]
    assert len(seen) == steps * images_per_step
    for epoch in range(len(seen) // num_images):
        assert sorted(seen[epoch * num_images : (epoch + 1) * num_images]) == list(range(num_images))


def test_epochs_are_shuffled_anew_and_by_the_seed():
    first, second = images_of_step(20, 20, 0, 0), images_of_step(20, 20, 0, 1)
    assert first != sorted(first)
    assert first != second
    assert first != images_of_step(20, 20, 1, 0)
    assert first == images_of_step(20, 20, 0, 0)


# ---- the loop -----------------------------------------------------------------------------------


def network(seed=0):
    torch.manual_seed(seed)
    conv = nn.Conv2d(2, 8, (2, 1)).to(memory_format=torch.channels_last)  # as all detectors' are
    return nn.Sequential(nn.Unflatten(1, (2, 2, 1)), conv, nn.Flatten(), nn.ReLU(), nn.Linear(8, 1))


DATA = torch.rand(7, 4, generator=torch.Generator().manual_seed(1))


def losses_for(model, interrupt_at=None):
    calls = {"count": 0}

    def losses_of(indices, generator):
        if calls["count"] == interrupt_at:
            raise KeyboardInterrupt
        calls["count"] += 1
        x = DATA[indices] + 0.1 * torch.rand(len(indices), 4, generator=generator)  # draws count as well
        return {"fit": (model(x) - x.sum(dim=1, keepdim=True)).square().mean(), "small": 1e-3 * model(x).abs().mean()}

    return losses_of


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@settings(max_examples=10)
@given(st.integers(0, 19), st.sampled_from([SGD, ADAMW]))
def test_an_interrupted_and_resumed_run_ends_bit_for_bit_where_an_uninterrupted_one_does(tmp_path_factory, at, solver):
    resume = tmp_path_factory.mktemp("run") / "state.safetensors"
    straight = network()
    optimise([straight], losses_for(straight), len(DATA), solver, seed=3, label="t")

    stopped = network()
    with pytest.raises(KeyboardInterrupt):
        optimise([stopped], losses_for(stopped, at), len(DATA), solver, seed=3, label="t", resume=resume)
    assert resume.is_file()
    resumed = network(seed=99)  # the file must hold everything: this start is another
    optimise([resumed], losses_for(resumed), len(DATA), solver, seed=3, label="t", resume=resume)
    for name, tensor in state_of(straight).items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    assert list(resume.parent.iterdir()) == []


@pytest.mark.parametrize("at", [5, 19])
def test_a_resumed_run_reports_the_same_curves(tmp_path, at):
    straight, model = network(), network()
    expected = optimise([straight], losses_for(straight), len(DATA), SGD, seed=3, label="t").curves
    with pytest.raises(KeyboardInterrupt):
        optimise([model], losses_for(model, at), len(DATA), SGD, seed=3, label="t", resume=tmp_path / "s.safetensors")
    found = optimise(
        [model], losses_for(model), len(DATA), SGD, seed=3, label="t", resume=tmp_path / "s.safetensors"
    ).curves
    assert found.keys() == expected.keys()
    assert all(found[name] == pytest.approx(expected[name], rel=1e-6) for name in expected)


@pytest.mark.parametrize("steps", [1, 5, 100, 101, 250])
def test_a_curve_has_the_means_of_successive_parts(steps):
    solver = Solver("sgd", learning_rate=0.0, steps=steps, images_per_step=1, weight_decay=0.0)
    model, count = network(), iter(range(1000))

    def losses_of(indices, generator):
        return {"counted": 0 * model(DATA[indices]).sum() + float(next(count))}

    found = optimise([model], losses_of, len(DATA), solver, seed=0, label="t").curves
    part = math.ceil(steps / 100)
    parts = [range(start, min(start + part, steps)) for start in range(0, steps, part)]
    assert found == {"counted": pytest.approx([sum(steps) / len(steps) for steps in parts])}


def test_training_lowers_the_loss_and_the_same_seed_trains_the_same():
    first, again = network(), network()
    before = losses_for(first)([0, 1, 2], torch.Generator().manual_seed(0))["fit"].item()
    found = optimise([first], losses_for(first), len(DATA), SGD, seed=3, label="t").curves
    optimise([again], losses_for(again), len(DATA), SGD, seed=3, label="t")
    assert found["fit"][-1] < before / 4
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values()))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_the_step_and_the_part_and_spares_the_weights(bad):
    model = network()
    seen = []

    def losses_of(indices, generator):
        seen.append(state_of(model))
        scale = bad if len(seen) == 4 else 1.0
        return {"good": model(DATA[indices]).mean(), "wild": model(DATA[indices]).square().mean() * scale}

    with pytest.raises(TrainingError, match=rf"toy: step 3: .*not finite.*good .*wild {bad:g}.*learning rate"):
        optimise([model], losses_of, len(DATA), SGD, seed=0, label="toy")
    assert all(torch.equal(tensor, seen[-1][name]) for name, tensor in model.state_dict().items())


def test_no_pictures_are_one_clear_error():
    with pytest.raises(TrainingError, match="toy: the training split has no picture"):
        optimise([network()], losses_for(network()), 0, SGD, seed=0, label="toy")


def test_clip_bounds_the_step():
    solver = Solver("sgd", 1.0, steps=1, images_per_step=1, weight_decay=0.0, momentum=0.0, clip=0.5)
    model = nn.Linear(4, 1, bias=False)
    before = model.weight.detach().clone()
    optimise([model], lambda i, g: {"steep": 1e3 * model(DATA[i]).sum()}, len(DATA), solver, seed=0, label="t")
    assert (model.weight - before).norm().item() == pytest.approx(0.5, rel=1e-4)


# ---- Caffe's two rates --------------------------------------------------------------------------


def after_one_step(bias_rate, gradient):
    solver = Solver("sgd", 0.1, steps=1, images_per_step=1, weight_decay=0.5, momentum=0.0, bias_rate=bias_rate)
    layer = nn.Linear(1, 1)
    nn.init.ones_(layer.weight), nn.init.ones_(layer.bias)

    def losses_of(indices, generator):
        return {"linear": gradient * (layer.weight.sum() + layer.bias.sum())}

    optimise([layer], losses_of, 1, solver, seed=0, label="t")
    return layer.weight.item(), layer.bias.item()


def test_bias_rate_2_doubles_the_biases_step_and_spares_them_the_decay():
    weight, bias = after_one_step(2.0, gradient=3.0)
    assert weight == pytest.approx(1 - 0.1 * (3 + 0.5))
    assert bias == pytest.approx(1 - 2 * 0.1 * 3)


def test_bias_rate_1_treats_all_parameters_alike():
    assert after_one_step(1.0, gradient=3.0) == pytest.approx((1 - 0.1 * (3 + 0.5),) * 2)


def test_frozen_parameters_are_left_out_of_the_optimiser():
    model = network()
    model[1].requires_grad_(False)
    groups = make_optimiser([model], SGD).param_groups
    assert [id(p) for group in groups for p in group["params"]] == [id(model[4].weight), id(model[4].bias)]


def test_an_unknown_optimiser_is_refused_by_name():
    with pytest.raises(ValueError, match="optimiser 'adam' is neither 'sgd' nor 'adamw'"):
        make_optimiser([network()], Solver("adam", 0.1, steps=1, images_per_step=1, weight_decay=0.0))


# ---- run_once -----------------------------------------------------------------------------------


def test_run_once_runs_and_the_next_time_loads(tmp_path):
    done, model, runs = tmp_path / "done.safetensors", network(), []

    def run():
        runs.append(1)
        with torch.no_grad():
            model[1].weight.fill_(7.0)
        history = History("t", [0.1, 0.01])
        history.add({"loss": 0.25}), history.add({"loss": 0.125})
        history.validation, history.kept, history.wait_seconds = {1: 0.5, 2: 0.25}, 1, 0.75
        return history

    assert run_once(done, model, run).curves == {"loss": [0.25, 0.125]}
    other = network(seed=5)
    again = run_once(done, other, run)
    assert (again.label, again.rates, again.done, again.kept) == ("t", [0.1, 0.01], 2, 1)
    assert (again.curves, again.validation, again.wait_seconds) == ({"loss": [0.25, 0.125]}, {1: 0.5, 2: 0.25}, 0.75)
    assert len(runs) == 1
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values()))


def test_run_once_keeps_nothing_of_a_run_that_failed(tmp_path):
    def run():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_once(tmp_path / "done.safetensors", network(), run)
    assert list(tmp_path.iterdir()) == []
