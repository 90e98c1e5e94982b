from __future__ import annotations

import copy
import io
import json
import math
import os

import pytest
from PIL import Image
from rich.console import Console

from lineage.bench.remarks import map_order
from lineage.bench.report import markdown, print_table, write_report
from lineage.bench.result_tables import tables

PHASES = ("propose", "features", "classify", "refine", "suppress")


def generation(ms, maps, steps=600):
    total = sum(ms)
    return {
        "map_mean": sum(maps) / len(maps),
        "map_values": list(maps),
        "ap_per_class": {"disc": 0.5, "ring": math.nan},
        "ms_per_image": total,
        "ms_per_image_without_proposals": total - ms[0],
        "ms_by_phase": dict(zip(PHASES, ms)),
        "ms_by_stage": {"warp": ms[1]},
        "flops_by_phase": dict(zip(PHASES, (0, 12_345_678_901, 1_000_000, 0, 0))),
        "flops_by_stage": {"convolve_crops": 12_345_678_901},
        "heavy_stage": "convolve_crops",
        "heavy_flops_per_second": 45.6e9,
        "peak_memory_bytes": 1_234_567_890,
        "proposals_mean": 1987.4,
        "train_seconds": ms[1],
        "train_steps": steps,
        "train_pictures": 48_000,
        "parameters": 1_000_000,
        "cache_bytes": 512_000_000,
        "train_procedure": "joint",
        "speedup_with_proposals": 12_345.6 / total,
        "speedup_without_proposals": 12_000 / (total - ms[0]),
    }


def results(maps=None):
    """The four, with numbers as wide as they come."""
    maps = maps or {
        "rcnn": [0.7, 0.74],
        "sppnet": [0.6, 0.69],
        "fast_rcnn": [0.72, 0.8],
        "faster_rcnn": [0.85, 0.9],
    }
    ms = {
        "rcnn": (12345.6, 98765.4, 123.4, 12.3, 1.2),
        "sppnet": (12345.6, 210.0, 30.1, 12.3, 0.5),
        "fast_rcnn": (12345.6, 140.0, 90.2, 0.3, 0.52),
        "faster_rcnn": (101.2, 140.0, 90.2, 0, 0.5),
    }
    return {
        "device": "CPU, 2 threads",
        "versions": {"lineage": "0.1.0", "torch": "2.9.1", "torchvision": "0.24.1", "numpy": "2.3.0"},
        "commit": "0123456789ab",
        "command": "python -m lineage.bench --out out",
        "data": "shapes",
        "backbone": "tiny",
        "recipe": "quick",
        "created": "2025-01-31T12:00:00",
        "dataset": {"train_pictures": 400, "test_pictures": 120, "classes": ["disc", "ring"]},
        "seeds": list(range(len(next(iter(maps.values()))))),
        "proposals": 2000,
        "generations": {name: generation(ms[name], values) for name, values in maps.items()},
    }


def without(name):
    """A run in which ``name`` was left out; with R-CNN goes every ratio to it."""
    run = results()
    del run["generations"][name]
    if name == "rcnn":
        for row in run["generations"].values():
            row["speedup_with_proposals"] = row["speedup_without_proposals"] = None
    return run


def printed(run, width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    print_table(run, console)
    return console.file.getvalue()


def cells(run, table, name):
    [row] = [row for row in tables(run)[table].rows if row[0] == name]
    return row


def test_fits_a_terminal_whole():
    text = printed(results())
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    assert "…" not in text  # rich's mark of a cut cell
    for table in tables(results()):
        for row in table.rows:
            assert [line.split() for line in text.splitlines()].count(" ".join(row).split()) == 1


def test_a_pipe_is_given_the_whole_width_and_a_narrow_terminal_folds():
    assert printed(results(), width=80) == printed(results(), width=100)
    console = Console(file=io.StringIO(), width=80, color_system=None, force_terminal=True)
    print_table(results(), console)
    text = console.file.getvalue()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert "…" not in text


def test_every_published_ratio_stands_beside_its_measurement():
    row = cells(results(), 1, "Fast R-CNN")
    total = 12345.6 + 140 + 90.2 + 0.3 + 0.52
    assert row[1] == f"{12_345.6 / total:.1f}x" == "1.0x"
    assert row[2].startswith("25x[") and row[4].startswith("146x[") and row[6].startswith("8.8x[")
    assert row[5] == f"{98765.4 / 140:.0f}x"
    assert row[7] == "76.0 (72.0-80.0)" and row[8].startswith("66.9[")
    assert cells(results(), 1, "SPP-net")[2] == "-"  # nobody published it


def test_letters_lead_to_sources():
    text = printed(results())
    letter = cells(results(), 1, "Faster R-CNN")[2].split("[")[1][0]
    assert f"[{letter}] D0, closing table" in text
    letter = cells(results(), 1, "Faster R-CNN")[8].split("[")[1][0]
    assert f"[{letter}] Faster R-CNN paper, table 3" in text


def test_times_are_as_given():
    assert cells(results(), 0, "R-CNN") == (
        "R-CNN", "12346", "98765", "123", "12.3", "1.20", "98902", "111248",
    )  # fmt: skip
    assert cells(results(), 2, "R-CNN")[1:4] == ("12.3", "convolve_crops", "45.6")


def test_contradictions_are_footnotes():
    text = " ".join(printed(results()).split())
    assert "66.9 repeats Fast R-CNN's figure" in text
    assert "32.84" in text
    only = without("faster_rcnn")
    assert "66.9 repeats" not in " ".join(printed(only).split())


def test_one_seed_claims_no_order():
    run = results({"rcnn": [0.5], "faster_rcnn": [0.9]})
    assert map_order(run) == "mAP: 1 seed: no order claimed."
    assert "1 seed: no order claimed" in printed(run)
    assert "above" not in map_order(run)
    assert cells(run, 1, "R-CNN")[7] == "50.0"


def test_order_is_claimed_only_where_ranges_are_apart():
    assert map_order(results()) == (
        "mAP over 2 seeds: Faster R-CNN above Fast R-CNN, R-CNN, SPP-net; Fast R-CNN above SPP-net; "
        "R-CNN above SPP-net. "  # 0.70 > 0.69
        "Ranges over 2 seeds overlap, no order claimed: Fast R-CNN and R-CNN."  # 0.72 < 0.74
    )


def test_ranges_that_touch_are_not_apart():
    text = map_order(results({"rcnn": [0.7, 0.8], "sppnet": [0.8, 0.9]}))
    assert "above" not in text and "SPP-net and R-CNN" in text


FAST_AND_FASTER = ("fast_rcnn", "faster_rcnn")


def test_says_what_became_of_the_proposals_time():
    text = " ".join(printed(results()).split())
    assert "Fast R-CNN takes 231 ms without its proposals, Faster R-CNN 332 ms with its own" in text
    searched, proposed = (results()["generations"][name]["ms_by_phase"]["propose"] for name in FAST_AND_FASTER)
    assert f"{searched:.0f} ms of selective search became" in text and f"{proposed:.3g}" in text


def test_says_when_training_was_not_alike():
    assert "All trained for the same steps" in " ".join(printed(results()).split())
    run = results()
    run["generations"]["rcnn"]["train_steps"] = 601
    assert "Not all trained for the same steps" in " ".join(printed(run).split())


@pytest.mark.parametrize("name", ["rcnn", "sppnet", "fast_rcnn", "faster_rcnn"])
def test_any_subset(name, tmp_path):
    run = without(name)
    text = printed(run)
    assert len(tables(run)[0].rows) == 3
    if name == "rcnn":
        assert [row[1] for row in tables(run)[1].rows] == ["-"] * 3
        assert [row[5] for row in tables(run)[1].rows] == ["-"] * 3
        assert "R-CNN was not run" in text
    write_report({**run, "generations": {n: r for n, r in list(run["generations"].items())[:1]}}, tmp_path)
    assert (tmp_path / "report.md").is_file()


def test_unknown_generation_is_one_clear_message():
    run = results()
    run["generations"]["mask_rcnn"] = run["generations"].pop("rcnn")
    with pytest.raises(ValueError, match=r"generations.*mask_rcnn"):
        tables(run)
    with pytest.raises(ValueError, match="generations"):
        tables({**run, "generations": {}})


def test_report_on_disk(tmp_path):
    run = results()
    run["generations"]["sppnet"]["map_mean"] = math.nan
    before = copy.deepcopy(run)
    paths = write_report(run, tmp_path / "new")
    assert [path.name for path in paths] == ["results.json", "report.md", "lineage.png"]
    assert sorted(os.listdir(tmp_path / "new")) == sorted(path.name for path in paths)  # nothing temporary left
    assert str(run) == str(before)
    back = json.loads(paths[0].read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert back["generations"]["sppnet"]["map_mean"] is None
    assert back["generations"]["rcnn"] == json.loads(json.dumps(run["generations"]["rcnn"]).replace("NaN", "null"))
    text = paths[1].read_text()
    for needed in (
        "python -m lineage.bench --out out",
        "torch 2.9.1",
        "0123456789ab",
        "CPU, 2 threads",
        "seeds: 2",
    ):
        assert needed in text
    with Image.open(paths[2]) as picture:
        assert picture.width > 800 and len(set(picture.convert("L").tobytes())) > 20


def test_markdown_tables_are_rectangular():
    blocks = [block for block in markdown(results()).split("\n\n") if block.startswith("|")]
    assert len(blocks) == 5
    for block in blocks:
        counts = {line.replace("\\|", "").count("|") for line in block.splitlines()}
        assert len(counts) == 1
    assert "A positive anchor's overlap" in markdown(results())  # a rule: too much for the terminal, not for here
    assert "A positive anchor's overlap" not in printed(results())


def test_a_failed_write_leaves_the_old_report(tmp_path, monkeypatch):
    write_report(results(), tmp_path)
    old = (tmp_path / "report.md").read_text()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_report(results({"rcnn": [0.1]}), tmp_path)
    assert (tmp_path / "report.md").read_text() == old
    assert len(os.listdir(tmp_path)) == 3
