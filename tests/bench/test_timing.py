import dataclasses
import json
import subprocess
import sys

import pytest
import torch

from lineage.bench import timing
from lineage.bench.ceiling import Ceiling, measure_ceiling
from lineage.bench.timed import Run, Setting, Timed, draw_proposals, draw_scene
from lineage.bench.timing import time_generations
from lineage.bench.timing_command import picture_size
from lineage.bench.timing_report import print_timing, timing_markdown, write_timing
from lineage.common.stages import Trace, Work
from lineage.experiments.generations import GENERATIONS

CPU = torch.device("cpu")
SMALL = Setting(CPU, "tiny", size=(96, 128), proposals=60, rpn_proposals=30)
HEAD = {
    "device": "a CPU",
    "versions": {"torch": "2"},
    "commit": "0123abc",
    "command": "python -m lineage.bench --timing",
}


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    ceiling = Ceiling(matmul=1e11, convolution=2e11, copy=1e10, launch=2e-6)
    monkeypatch.setattr(timing, "measure_ceiling", lambda *_: ceiling)
    monkeypatch.setattr(timing, "CURVE_PROPOSALS", (10, 60))
    monkeypatch.setattr(timing, "CURVE_SIZES", (0.75, 1.0))
    monkeypatch.setattr(timing, "PICTURES", 2)


@pytest.fixture(scope="module")
def results():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "CURVE_PROPOSALS", (10, 60))
        patch.setattr(timing, "CURVE_SIZES", (0.75, 1.0))
        patch.setattr(timing, "PICTURES", 2)
        return {**HEAD, **time_generations(SMALL, rounds=2)}


def test_every_generation_has_its_stages_and_their_shares_of_the_ceiling(results):
    assert list(results["generations"]) == list(GENERATIONS)
    for row in results["generations"].values():
        assert row["ms_per_image"] == pytest.approx(sum(row["ms_by_phase"].values()))
        assert row["peak_memory_bytes"] > 0
        assert row["extrapolated_from"] is None
        for stage in row["stages"].values():
            assert stage["ms_range"][0] <= stage["ms"] <= stage["ms_range"][1]
            assert set(stage["shares"]) == {"arithmetic", "memory", "launch"}
    fast = results["generations"]["fast_rcnn"]["stages"]
    assert fast["conv"]["flops"] == fast["conv"]["convolution_flops"] > 0
    assert fast["fc"]["convolution_flops"] == 0 < fast["fc"]["flops"]
    assert results["generations"]["rcnn"]["speedup_without_proposals"] == 1.0


def test_selective_search_counts_for_the_first_three_and_the_rpn_for_the_last(results):
    propose = {name: row["ms_by_phase"]["propose"] for name, row in results["generations"].items()}
    assert propose["rcnn"] == propose["sppnet"] == propose["fast_rcnn"] > 0
    assert propose["faster_rcnn"] == pytest.approx(results["generations"]["faster_rcnn"]["stages"]["rpn"]["ms"])


def test_the_curves_have_a_point_for_every_number_size_and_picture(results):
    for name, row in results["generations"].items():
        curves = row["curves"]
        assert [point[0] for point in curves["proposals"]] == [10, 60]
        assert [point[0] for point in curves["pixels"]] == [72 * 96, 96 * 128]
        assert [point[0] for point in curves["pictures"]] == [1, 2]
        if name != "faster_rcnn":
            assert [point[2] for point in curves["proposals"]] == [10, 60]


def test_rcnn_extrapolated_from_a_sample_does_the_work_of_all():
    image, boxes = draw_scene(SMALL.size, 0), draw_proposals(60, SMALL.size, 0)
    whole = Timed(SMALL, "rcnn", image, boxes)
    part = Timed(dataclasses.replace(SMALL, sampled=12), "rcnn", image, boxes)
    rows = [
        timing._row(one, [one(image, boxes)], Ceiling(1e11, 1e11, 1e10, 1e-6)) for one in (whole, part)
    ]  # fmt: skip
    assert rows[1]["extrapolated_from"] == 12
    assert part(image, boxes).regions == 60
    assert rows[0]["flops_by_phase"]["features"] == rows[1]["flops_by_phase"]["features"]
    assert rows[0]["stages"]["cnn"]["flops"] == rows[1]["stages"]["cnn"]["flops"] > 0


def test_only_what_is_paid_a_region_is_extrapolated():
    run = Run(Trace(None, False, False), 60, 5.0)
    assert [run.factor_of(stage) for stage in ("warp", "cnn", "svm", "ridge", "nms")] == [5, 5, 5, 5, 1]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_nms_gets_as_many_candidates(generation, monkeypatch):
    monkeypatch.setattr("lineage.bench.timed.CANDIDATES", 40)
    image, boxes = draw_scene(SMALL.size, 0), draw_proposals(60, SMALL.size, 0)
    one = Timed(SMALL, generation, image, boxes)
    seen = []
    suppress = type(one.detector).suppress
    monkeypatch.setattr(
        type(one.detector), "suppress",
        lambda self, boxes, scores: seen.append(int((scores > self.recipe.score_threshold).sum()))
        or suppress(self, boxes, scores),
    )  # fmt: skip
    one(image, boxes)
    assert seen == [40]


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("changes", [{"dtype": "bf16"}, {"channels_last": False}])
def test_other_types_and_layouts_find_the_same(generation, changes):
    torch.manual_seed(0)
    image, boxes = draw_scene(SMALL.size, 0), draw_proposals(60, SMALL.size, 0)
    plain = Timed(SMALL, generation, image, boxes).detector
    other = Timed(dataclasses.replace(SMALL, **changes), generation, image, boxes).detector
    maps = [detector.convolve(image)[0] if generation != "rcnn" else detector.features(image, boxes)[0]
            for detector in (plain, other)]  # fmt: skip
    a, b = (m[0].detach() if isinstance(m, list) else m.detach() for m in maps)
    assert a.dtype == b.dtype == torch.float32
    assert float((a - b).abs().mean() / a.abs().mean()) < (0.02 if "dtype" in changes else 1e-5)
    assert ("dtype" in changes) != torch.allclose(a, b, rtol=1e-4, atol=1e-4)


def test_compiling_wraps_the_heavy_parts(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda part: compiled.append(type(part).__name__) or part)
    image, boxes = draw_scene(SMALL.size, 0), draw_proposals(60, SMALL.size, 0)
    Timed(dataclasses.replace(SMALL, compiled=True), "faster_rcnn", image, boxes)
    assert compiled == ["Sequential", "Sequential", "Conv2d"]


def test_proposals_lie_in_the_picture_and_are_the_same_again():
    boxes = draw_proposals(500, (60, 200), seed=3)
    assert (boxes >= 0).all() and (boxes[:, 2] <= 200).all() and (boxes[:, 3] <= 60).all()
    assert (boxes[:, 2:] - boxes[:, :2] >= 19.99).all()
    assert torch.equal(boxes, draw_proposals(500, (60, 200), seed=3))


@pytest.mark.parametrize("size", [(64, 64), (250, 700)])
def test_scenes_have_the_size_asked_for(size):
    scene = draw_scene(size, 0)
    assert scene.shape == (3, *size)
    assert scene.min() >= 0 and scene.max() <= 1 and scene.std() > 0.05


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"dtype": "fp8"}, "--dtype: 'fp8'"), ({"dtype": "tf32"}, "this is a CPU"), ({"size": (32, 90)}, "32x90")],
)
def test_what_cannot_be_timed_is_refused(changes, what):
    with pytest.raises(ValueError, match=what):
        time_generations(dataclasses.replace(SMALL, **changes))


def test_sizes_are_read_and_others_refused():
    assert picture_size("600x800") == (600, 800)
    for text in ("600", "600,800", "x", "-1x5", "600x800x3"):
        with pytest.raises(ValueError, match="--size"):
            picture_size(text)


def test_the_shares_say_what_each_limit_explains():
    ceiling = Ceiling(matmul=1e9, convolution=2e9, copy=1e9, launch=1e-3)
    work = Work(flops=30_000_000, convolution_flops=20_000_000, operators=5, bytes_moved=4_000_000, peak_memory_bytes=0)
    shares = ceiling.shares(work, seconds=0.04)
    assert shares == pytest.approx({"arithmetic": 0.5, "memory": 0.1, "launch": 0.125})


def test_a_ceiling_is_measured():
    ceiling = measure_ceiling(CPU)
    assert ceiling.matmul > 1e8 and ceiling.convolution > 1e8 and ceiling.copy > 1e7 and 0 < ceiling.launch < 1e-2


def test_the_report_says_it_all_and_is_written(results, tmp_path):
    from rich.console import Console

    text = timing_markdown(results)
    for words in ("Fast R-CNN: roi pool", "times R-CNN", "against proposals", "tiny, random weights, 96 x 128"):
        assert words in text
    console = Console(record=True, width=80, file=open("/dev/null", "w"))  # noqa: SIM115
    print_timing(results, console)
    assert "bound by" in console.export_text()
    paths = write_timing(results, tmp_path)
    assert [path.name for path in paths] == ["timing.json", "timing.md", "timing.png"]
    assert json.loads(paths[0].read_text())["generations"]["rcnn"]["regions"] == 60
    assert paths[2].stat().st_size > 10_000


def test_an_extrapolation_is_said(results):
    rows = {"rcnn": {**results["generations"]["rcnn"], "extrapolated_from": 12}}
    assert "12 of 60 crops were run" in timing_markdown({**results, "generations": rows})


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "lineage.bench", "--timing", *arguments], capture_output=True, text=True, timeout=300
    )  # fmt: skip


def test_the_command_times_without_training(tmp_path):
    done = command(
        "--backbone", "tiny", "--size", "96x128", "--proposals", "40", "--rounds", "1", "--no-curves",
        "--generations", "fast_rcnn,faster_rcnn", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every stage against the ceiling" in done.stdout
    results = json.loads((tmp_path / "out" / "timing.json").read_text())
    assert list(results["generations"]) == ["fast_rcnn", "faster_rcnn"]
    assert results["command"].startswith("python -m lineage.bench --timing --backbone tiny")
    assert results["ceiling"]["matmul"] > 1e8


def test_the_command_refuses_in_one_line_and_writes_nothing(tmp_path):
    done = command("--size", "huge", "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert done.stdout.strip() == "error: --size: expected HEIGHTxWIDTH such as 600x800, got 'huge'"
    assert not (tmp_path / "out").exists()


def test_the_race_names_the_stopwatch_in_its_help():
    done = subprocess.run([sys.executable, "-m", "lineage.bench", "--help"], capture_output=True, text=True)
    assert "--timing" in done.stdout
