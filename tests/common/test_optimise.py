import math
import signal
import time
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lineage.common.checkpoint import load_checkpoint
from lineage.common.history import History
from lineage.common.loading import images_of_step
from lineage.common.optimise import Solver, TrainingError, make_optimiser, optimise
from lineage.common.resume import forget, run_once
from lineage.common.running import Running, Validation

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
    assert resume.is_file()  # until the result is safe
    forget(resume)
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


# ---- several minibatches a step -----------------------------------------------------------------


@pytest.mark.parametrize("solver", [SGD, ADAMW])
def test_minibatches_that_are_accumulated_are_one_of_their_size(solver):
    """Means over pictures: the same up to rounding."""

    def losses_of(model):
        def losses(indices, _):
            x = DATA[indices]
            fit = (model(x) - x.sum(dim=1, keepdim=True)).square().mean()
            return {"fit": fit, "small": model(x).abs().mean()}

        return losses

    whole, parts = network(), network()
    solvers = replace(solver, images_per_step=6), replace(solver, images_per_step=2, accumulate=3)
    expected, found = (
        optimise([model], losses_of(model), len(DATA), one, seed=3, label="t")
        for model, one in zip((whole, parts), solvers)
    )
    assert solvers[0].pictures == solvers[1].pictures == 20 * 6
    for name, values in expected.losses.items():
        torch.testing.assert_close(found.losses[name], values, rtol=1e-4, atol=1e-6)
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)
    other = network()
    optimise([other], losses_of(other), len(DATA), replace(solver, images_per_step=2), seed=3, label="t")
    assert not torch.allclose(other.state_dict()["1.weight"], whole.state_dict()["1.weight"], atol=1e-3)


def test_each_minibatch_draws_for_itself():
    """The first as if it were alone, so that accumulating changes nothing of what it sees."""
    drawn: dict[int, list[float]] = {}

    def losses_of(model):
        def losses(indices, generator):
            drawn.setdefault(id(model), []).append(float(torch.rand((), generator=generator)))
            return {"small": model(DATA[indices]).abs().mean()}

        return losses

    alone, three = network(), network()
    for model, count in ((alone, 1), (three, 3)):
        solver = replace(SGD, steps=4, images_per_step=1, accumulate=count)
        optimise([model], losses_of(model), len(DATA), solver, seed=3, label="t")
    assert drawn[id(three)][::3] == drawn[id(alone)] and len(set(drawn[id(three)])) == 12


def test_a_shortened_schedule_accumulates_as_before():
    assert replace(SGD, accumulate=4, amp="bf16").shortened(5) == replace(SGD, accumulate=4, amp="bf16", steps=5)


# ---- mixed precision ----------------------------------------------------------------------------


def test_bf16_multiplies_in_bfloat16_and_keeps_float32_weights():
    """With inputs that bfloat16 cannot hold the first loss is near float32's, and not it."""
    losses, seen = {}, []
    for amp in (None, "bf16"):
        model = network()

        def losses_of(indices, generator, model=model):
            out = model(DATA[indices])
            seen.append(out.dtype)
            return {"fit": (out.float() - 1).square().mean()}

        losses[amp] = optimise([model], losses_of, len(DATA), replace(SGD, amp=amp), seed=3, label="t").losses["fit"]
        assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert seen == [torch.float32] * 20 + [torch.bfloat16] * 20
    assert losses["bf16"][0] != losses[None][0]
    torch.testing.assert_close(losses["bf16"], losses[None], rtol=0.05, atol=0.01)


def test_another_precision_is_refused_by_name():
    with pytest.raises(ValueError, match="amp 'fp8' is neither None nor 'bf16'"):
        optimise([network()], losses_for(network()), 7, replace(SGD, amp="fp8"), seed=0, label="t")


# ---- looking on ---------------------------------------------------------------------------------


SCORES = {4: 0.5, 8: 0.7, 12: 0.7, 16: 0.2, 20: 0.6}  # after so many of SGD's 20 steps


class Scores:
    """A validation that is told what to find, and remembers the weights it was shown."""

    def __init__(self, model, interrupt_at=None, scores=SCORES, keep_best=True):
        self.model, self.waiting, self.interrupt_at = model, list(scores.items()), interrupt_at
        self.seen = {}
        self.validation = Validation(4, self.measure, keep_best)

    def measure(self):
        step, score = self.waiting[0]
        self.seen[step] = state_of(self.model)
        if step == self.interrupt_at:
            raise KeyboardInterrupt
        self.waiting.pop(0)
        return score


def validated(tmp_path, **options):
    model = network()
    scores = Scores(model, **options)
    history = optimise(
        [model], losses_for(model), len(DATA), SGD, seed=3, label="t", resume=tmp_path / "s.safetensors",
        running=Running(validation=scores.validation),
    )  # fmt: skip
    return model, scores, history


def test_the_weights_of_the_first_highest_score_come_out(tmp_path):
    model, scores, history = validated(tmp_path)
    assert history.validation == SCORES and (history.best, history.kept) == (8, 8)
    assert all(torch.equal(tensor, scores.seen[8][name]) for name, tensor in state_of(model).items())
    assert not torch.equal(scores.seen[8]["1.weight"], scores.seen[20]["1.weight"])
    forget(tmp_path / "s.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["s.safetensors", "s.best-8.safetensors"])
def test_a_damaged_state_is_trained_again_and_comes_out_the_same(tmp_path, name):
    whole, _, _ = validated(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        validated(tmp_path, interrupt_at=12)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.warns(UserWarning, match=f"{name}: .*again"):
        model, scores, history = validated(tmp_path)
    assert list(scores.seen) == list(SCORES) and history.kept == 8
    assert all(torch.equal(tensor, whole.state_dict()[name]) for name, tensor in state_of(model).items())


def test_a_run_that_is_killed_while_it_measures_has_lost_no_step(tmp_path):
    """The state is on the disk before the measuring, which may take long."""
    model = network()
    path, steps = tmp_path / "s.safetensors", []

    def measure():
        steps.append(History.of(*load_checkpoint(path)).done)
        return 0.5

    optimise([model], losses_for(model), len(DATA), SGD, seed=3, label="t", resume=path,
             running=Running(validation=Validation(4, measure)))  # fmt: skip
    assert steps == [4, 8, 12, 16, 20]


def test_measuring_changes_nothing_where_the_last_weights_are_kept(tmp_path):
    unseen = network()
    optimise([unseen], losses_for(unseen), len(DATA), SGD, seed=3, label="t")
    model, _, history = validated(tmp_path, keep_best=False)
    assert history.validation == SCORES and history.kept is None
    assert all(torch.equal(tensor, unseen.state_dict()[name]) for name, tensor in state_of(model).items())


@pytest.mark.parametrize("at", [4, 12, 20])
def test_a_run_that_is_interrupted_while_it_measures_measures_again(tmp_path, at):
    whole, _, expected = validated(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        validated(tmp_path, interrupt_at=at)
    rest = {step: score for step, score in SCORES.items() if step >= at}
    model, scores, history = validated(tmp_path, scores=rest)
    assert list(scores.seen) == list(rest)
    assert (history.validation, history.kept) == (expected.validation, expected.kept)
    assert all(torch.equal(tensor, whole.state_dict()[name]) for name, tensor in state_of(model).items())


def test_a_run_that_was_killed_finds_the_best_weights_of_its_state(tmp_path):
    """Killed after better weights were written and before the state was: those of the state are still there."""
    with pytest.raises(KeyboardInterrupt):
        validated(tmp_path, interrupt_at=8)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(kept) == ["s.best-4.safetensors", "s.safetensors"]
    with pytest.raises(KeyboardInterrupt):
        validated(tmp_path, interrupt_at=12, scores={k: v for k, v in SCORES.items() if k >= 8})
    (tmp_path / "s.safetensors").write_bytes(kept["s.safetensors"])  # the older state, and the newer best
    (tmp_path / "s.best-4.safetensors").write_bytes(kept["s.best-4.safetensors"])
    model, scores, history = validated(tmp_path, scores={8: 0.1, 12: 0.2, 16: 0.2, 20: 0.3})
    assert history.kept == 4
    assert not any(torch.equal(state["1.weight"], model[1].weight) for state in scores.seen.values())


def test_whoever_listens_hears_of_every_step(tmp_path):
    heard, model = [], network()
    history = optimise(
        [model], losses_for(model), len(DATA), SGD, seed=3, label="toy", resume=tmp_path / "s.safetensors",
        running=Running(listen=lambda *what: heard.append(what), validation=Scores(model).validation),
    )  # fmt: skip
    assert [(label, step) for label, step, _ in heard] == [("toy", step) for step in range(1, 21)]
    assert [values.get("mAP") for _, _, values in heard] == [SCORES.get(step) for step in range(1, 21)]
    assert [values["fit"] for _, _, values in heard] == history.losses["fit"].tolist()
    assert heard[-1][2]["learning rate"] == SGD.learning_rate


def test_the_wait_for_pictures_is_counted_over_interruptions(tmp_path):
    def slowly(*, indices, generator):
        time.sleep(0.01)
        return indices

    model, path = network(), tmp_path / "s.safetensors"
    with pytest.raises(KeyboardInterrupt):
        optimise([model], losses_for(model, 10), len(DATA), SGD, seed=3, label="t", load=slowly, resume=path)
    history = optimise([model], losses_for(model), len(DATA), SGD, seed=3, label="t", load=slowly, resume=path)
    assert history.wait_seconds >= 20 * 0.01


@pytest.mark.parametrize("moment", ["before", "after"])
def test_ctrl_c_never_takes_half_a_step(tmp_path, monkeypatch, moment):
    """Pressed while the weights move: the step counts as taken, and is not taken again."""
    straight, model, path = network(), network(), tmp_path / "s.safetensors"
    optimise([straight], losses_for(straight), len(DATA), SGD, seed=3, label="t")
    step, calls = torch.optim.SGD.step, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 7 and moment == "before":
            signal.raise_signal(signal.SIGINT)
        step(self, *arguments)
        if len(calls) == 7 and moment == "after":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(torch.optim.SGD, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        optimise([model], losses_for(model), len(DATA), SGD, seed=3, label="t", resume=path)
    optimise([model], losses_for(model), len(DATA), SGD, seed=3, label="t", resume=path)
    assert len(calls) == 20
    assert all(torch.equal(tensor, straight.state_dict()[name]) for name, tensor in state_of(model).items())


def test_a_layer_that_was_frozen_does_not_count_in_the_gradients_norm():
    """As in step 4 of Faster R-CNN's 4: its convolutions have kept gradients of step 2."""
    solver = Solver("sgd", 1.0, steps=1, images_per_step=1, weight_decay=0.0, momentum=0.0, clip=0.5)
    model, frozen = nn.Linear(4, 1, bias=False), nn.Linear(4, 1)
    frozen.weight.grad = torch.full_like(frozen.weight, 1e4)
    frozen.requires_grad_(False)
    before = model.weight.detach().clone()
    optimise([model, frozen], lambda i, g: {"steep": 1e3 * model(DATA[i]).sum()}, 7, solver, seed=0, label="t")
    assert (model.weight - before).norm().item() == pytest.approx(0.5, rel=1e-4)


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
