"""python benchmarks/kills.py --kills 100: SIGKILL at random moments of all that takes long, until it is done.

Each phase is small, and saves after every step and picture instead of once a minute, so that a kill meets every kind
of work. What comes out at last is compared, bit for bit, with what a run makes that nobody kills. --everywhere kills
after each file that appears instead, and wants each file to be made once: nothing is lost, and nothing made again.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sklearn.svm  # noqa: F401  # before the children are forked: it takes seconds
import torch
from joblib import parallel_config
from side_by_side import RESULTS

from lineage.bench.circumstances import circumstances
from lineage.bench.results import as_json
from lineage.common import resume
from lineage.common.checkpoint import load_checkpoint, write_atomically
from lineage.common.linear import onednn_is_quicker
from lineage.data.proposals import cached_proposals
from lineage.data.shapes import ensure_shapes
from lineage.data.voc import VOCDataset
from lineage.experiments.detections import detect_all
from lineage.experiments.experiment import Experiment
from lineage.experiments.generations import build_detector, named_recipe
from lineage.experiments.keys import state_digest
from lineage.experiments.pretraining import pretrained_backbone
from lineage.experiments.training import model_key, train_or_find
from lineage.experiments.validation import HeldOut

PICTURES, STEPS = 3, 2
NO_ROOM = 30_000  # bytes: no larger file can be written; every model is larger
KILLED = -signal.SIGKILL
Phase = Callable[[Path], str]  # the cache; what came out


class Inputs:
    """What the phases share, made before the first kill."""

    def __init__(self, folder: Path) -> None:
        self.root = ensure_shapes(folder, trainval=PICTURES, test=1)
        self.pictures = VOCDataset(self.root, "trainval")
        self.search = named_recipe("rcnn", "quick").proposals
        self.proposals = cached_proposals(self.pictures, self.search, "kills", folder / "proposals", jobs=1)

    def experiment(self, cache: Path, **fields: Any) -> Experiment:
        return Experiment(
            data=str(self.root), backbone="tiny", weights=None, recipe="quick", cache=cache, steps=STEPS,
            device=torch.device("cpu"), pretrain_here=True, pretraining_crops=64, **fields,
        )  # fmt: skip

    def trains(self, generation: str, validated: bool = False, **fields: Any) -> Phase:
        """A phase that trains a detector; ``validated``: it keeps the weights that are best on the same pictures."""
        proposals = None if generation == "faster_rcnn" else self.proposals
        held_out = HeldOut(self.pictures, proposals) if validated else None
        fields |= {"pretraining": False, "validate_every": 1 if validated else None}
        # Source files are read once a process: here, and not again in each child.
        model_key(self.experiment(self.root, **fields), generation, 0, self.pictures, proposals, held_out)

        def phase(cache: Path) -> str:
            experiment = self.experiment(cache, **fields)
            path = train_or_find(experiment, generation, 0, self.pictures, proposals, _silent, held_out)
            return state_digest(load_checkpoint(path)[0])

        return phase

    def phases(self) -> dict[str, Phase]:
        def pretraining(cache: Path) -> str:
            return state_digest(pretrained_backbone(self.experiment(cache), 0, _silent)[0].state_dict())

        def search(cache: Path) -> str:
            found = cached_proposals(self.pictures, self.search, "kills", cache / "proposals", jobs=1)
            return state_digest({str(index): boxes for index, boxes in enumerate(found)})

        def evaluation(cache: Path) -> str:
            experiment = self.experiment(cache, pretraining=False)
            backbone, _ = pretrained_backbone(experiment, 0, _silent)
            detector = build_detector(
                "faster_rcnn", backbone, self.pictures.classes, named_recipe("faster_rcnn", "quick")
            )
            found = detect_all(detector.eval(), self.pictures, None, "detect", cache)
            return state_digest({f"{i} {name}": tensor for i, one in enumerate(found) for name, tensor in one.items()})

        return {
            "pre-training": pretraining, "selective search": search,
            "R-CNN": self.trains("rcnn"), "SPP-net": self.trains("sppnet"), "Fast R-CNN": self.trains("fast_rcnn"),
            "Faster R-CNN": self.trains("faster_rcnn"),
            "Faster R-CNN, 4 steps": self.trains("faster_rcnn", procedure="alternating"),
            "Faster R-CNN, best weights": self.trains("faster_rcnn", validated=True), "evaluation": evaluation,
        }  # fmt: skip


def _silent(line: str) -> None:
    pass


class Run:
    """A phase in a process of its own, forked, which needs no start."""

    def __init__(self, phase: Phase, cache: Path, prepare: Callable[[], object] = lambda: None) -> None:
        self.answer, write = os.pipe()
        self.start = time.perf_counter()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.answer)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # bars
                prepare()
                os.write(write, phase(cache).encode())
                os._exit(0)
            except BaseException as error:  # whatever it is, the parent is not to go on in here
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(1)
        os.close(write)

    def kill_after(self, seconds: float) -> None:
        """Unless it ends before."""
        while time.perf_counter() < self.start + seconds and not os.waitid(
            os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
        ):
            time.sleep(0.002)
        os.kill(self.pid, signal.SIGKILL)  # one that has ended is not yet waited for

    def wait(self) -> tuple[int, str]:
        """Its exit status, negative for a signal, and what came out."""
        with os.fdopen(self.answer) as file:
            came = file.read()
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.seconds = time.perf_counter() - self.start
        return code, came


def whole(phase: Phase, cache: Path) -> tuple[str, float]:
    """What comes out of a run that nobody kills, and its seconds."""
    run = Run(phase, cache)
    code, came = run.wait()
    if code:
        raise SystemExit("a run that nobody killed failed")
    return came, run.seconds


def left_over(cache: Path) -> list[str]:
    """What nobody needs any more."""
    return [
        str(path.relative_to(cache)) for path in cache.rglob("*")
        if path.suffix == ".work" or (path.name.startswith(".") and path.name != ".locks") or path.suffix == ".owner"
    ]  # fmt: skip


def at_random(phase: Phase, kills: int, rng: random.Random, scratch: Path) -> dict[str, Any]:
    """Kill a phase until so many kills are done; each time that it gets through, look at it and begin anew."""
    expected, seconds = whole(phase, fresh(scratch))
    row: dict[str, Any] = {"kills": 0, "seconds": seconds, "results": 0, "other": 0, "failed": 0, "left_over": []}
    cache = fresh(scratch)
    while True:
        run = Run(phase, cache)
        if row["kills"] < kills:
            run.kill_after(rng.uniform(0, seconds))
        code, came = run.wait()
        row["kills"] += code == KILLED
        row["failed"] += code > 0
        if code == 0:
            row["results"] += 1
            row["other"] += came != expected
            row["left_over"] += left_over(cache)
            cache = fresh(scratch)
        if code != KILLED and row["kills"] >= kills:
            return row


def no_room(phase: Phase, scratch: Path) -> dict[str, Any]:
    """A run that can write no file of some size fails, and the next one goes on."""
    expected, _ = whole(phase, fresh(scratch))
    cache = fresh(scratch)
    limit = (NO_ROOM, NO_ROOM)
    stopped, _ = Run(phase, cache, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)).wait()
    found, _ = whole(phase, cache)
    return {"bytes": NO_ROOM, "stopped": stopped == 1, "same": found == expected, "left_over": left_over(cache)}


def two_at_once(phase: Phase, scratch: Path) -> dict[str, Any]:
    """Two runs on one cache: one makes it, the other waits and finds it."""
    expected, _ = whole(phase, fresh(scratch))
    cache = fresh(scratch)
    runs = [Run(phase, cache), Run(phase, cache)]
    found = [run.wait() for run in runs]
    return {"same": found == [(0, expected)] * 2, "left_over": left_over(cache)}


def fresh(scratch: Path) -> Path:
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    return scratch


# ---- after each file ----------------------------------------------------------------------------


def watched(log: Path, most: int | None) -> None:
    """In a child: note each file that gets its name, and die when after ``most`` another is to come or to go."""
    seen: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("os.rename", "os.remove"):
            return
        name = Path(os.fsdecode(arguments[event == "os.rename"]))
        if name.suffix not in (".safetensors", ".npy") or name.name.startswith("."):
            return
        if event == "os.remove" and not name.exists():  # was gone already
            return
        if most is not None and len(seen) == most:
            os.kill(os.getpid(), signal.SIGKILL)
        seen.append(name.name)
        if event == "os.rename":
            with log.open("a") as file:
                file.write(f"{name.parent.name}/{name.name}\n")

    sys.addaudithook(hook)


def everywhere(phase: Phase, scratch: Path) -> str | None:
    """One event a run, until it gets through; what is wrong with that."""
    logs = [scratch.with_name("whole.log"), scratch.with_name("killed.log")]
    for log in logs:
        log.write_text("")
    straight = Run(phase, fresh(scratch), lambda: watched(logs[0], None))
    expected = straight.wait()
    cache, runs = fresh(scratch), 0
    while (found := Run(phase, cache, lambda: watched(logs[1], 1)).wait())[0] == KILLED:
        runs += 1
        if runs > 3 * len(logs[0].read_text().splitlines()):
            return f"no progress after {runs} kills"
    made = [Counter(log.read_text().splitlines()) for log in logs]
    if found != expected or expected[0]:
        return f"{found} and not {expected}"
    if made[0] != made[1]:
        return f"made again or never: {made[1] - made[0]} {made[0] - made[1]}"
    if left := left_over(cache):
        return f"left over: {left}"
    print(f"{runs} kills, {made[0].total()} files, each made once", flush=True)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="of all phases together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--phases", nargs="+", help="these alone; nothing is written then")
    parser.add_argument("--everywhere", action="store_true", help="kill after each file; nothing is written")
    chosen = parser.parse_args()
    resume.SAVE_EVERY_SECONDS = -1.0  # the children have it, too
    torch.set_num_threads(1)
    onednn_is_quicker()  # measured here for all: on a busy machine each process may decide, and then round, otherwise
    # joblib's processes would outlive a killed child
    with tempfile.TemporaryDirectory() as folder, parallel_config(backend="sequential"):
        inputs, scratch = Inputs(Path(folder) / "inputs"), Path(folder) / "cache"
        phases = {name: phase for name, phase in inputs.phases().items() if name in (chosen.phases or [name])}
        if chosen.everywhere:
            wrong = {name: why for name, phase in phases.items() if (why := everywhere(phase, scratch))}
            for name, why in wrong.items():
                print(f"{name}: {why}", file=sys.stderr)
            return int(bool(wrong))
        rng, rows = random.Random(chosen.seed), {}
        for number, (name, phase) in enumerate(phases.items()):
            share = (chosen.kills + number) // len(phases)
            rows[name] = at_random(phase, share, rng, scratch)
            print(name, rows[name], flush=True)
        others = {
            "no_room": no_room(phases["R-CNN"], scratch), "two_at_once": two_at_once(phases["R-CNN"], scratch)
        } if not chosen.phases else {}  # fmt: skip
    if not chosen.phases:
        results = {**circumstances("python benchmarks/kills.py", torch.device("cpu")), "kills": rows, **others}
        write_atomically(RESULTS / "kills.json", lambda path: path.write_text(as_json(results), encoding="utf-8"))
    good = all(not (row["other"] or row["failed"] or row["left_over"]) for row in rows.values())
    return int(not good or not all(row["same"] and not row["left_over"] for row in others.values()))


if __name__ == "__main__":
    sys.exit(main())
