"""Thirty-some submissions to A1, each with what the gradebook shall say of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import wrong_answers_A1 as a1
from coursework import SOURCE, failed_tests

NAME = "A1_boxes"
POINTS = {
    "iou-shown": 3, "iou-apart": 3, "iou-any": 4, "nms-shown": 3, "nms-edges": 4, "nms-chain": 5,
    "hits-shown": 3, "hits-twice": 5, "ap-shown": 3, "ap-edges": 5,
}  # fmt: skip
SECONDS_A_CELL = 20
RIGHT = {"iou": a1.IOU, "nms": a1.NMS, "hits": a1.HITS, "ap": a1.AP, "why": "A user may go further down the ranking."}
NEED_IOU = {name for name in POINTS if not name.startswith("ap")}
ALL = set(POINTS)


def of(exercise: str) -> set[str]:
    return {name for name in POINTS if name.startswith(exercise)}


@dataclass(frozen=True)
class Plan:
    """What is handed in, and what comes of it."""

    changes: dict[str, str] = field(default_factory=dict)  # of a right notebook's cells, by id
    fails: set[str] = field(default_factory=set)
    remark: str = ""  # the gradebook's, whole or the beginning
    drop: tuple[str, ...] = ()  # cells that are deleted
    written: bool = True  # whether an answer waits for a person
    page: bool = True  # whether there is one to give back
    raw: str | None = None  # handed in in place of a notebook


def mistake(words: str) -> Plan:
    """One of the typical mistakes; which tests it fails is known from running the cells without a kernel."""
    ((exercise, _, code, _),) = [case for case in a1.WRONG if case[1] == words]
    return Plan({exercise: code}, failed_tests(SOURCE / NAME / f"{NAME}.ipynb", {exercise: code}))


def also(code: str) -> dict[str, str]:
    """A right answer that does something else first."""
    return {"iou": f"{code}\n{a1.IOU}"}


def plans(port: int, marker: str, private: list[str]) -> dict[str, Plan]:
    """By student.

    Args:
        port: where somebody listens on this machine. marker: seconds that a forgotten process would sleep.
        private: folders that no submission may look into.
    """
    too_long = f"iou: TooLong: took longer than {SECONDS_A_CELL} s"
    warns = a1.changed(a1.IOU, "    lt =", "    import warnings\n    warnings.warn('slow')\n    lt =")
    clear = "from IPython.display import clear_output\n"
    clear += "get_ipython().events.register('post_run_cell', lambda *_: clear_output())"
    ignore = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    shout = "raise ValueError('\\x1b[2J' + 'x' * 10**7)"
    look = f"import os\nfound = [os.listdir(place) for place in {private} if os.path.isdir(place)]\n"
    return {
        # right
        "right": Plan(),
        "right-in-a-folder": Plan(),
        "right-without-metadata": Plan(),
        "right-with-own-cells": Plan({"iou": "box_iou = helper"}),
        "right-but-warns": Plan({"iou": warns}),
        "right-but-prints": Plan(also("for i in range(300):\n    print('y' * 1000)")),
        "right-and-looks": Plan({"look": "LOOK = True\nif LOOK:\n    raise ValueError('not here')"}),
        "right-with-a-picture": Plan({"why": "See ![it](attachment:it.png) <script>steal()</script>"}),
        "right-but-answers-below": Plan(),
        "right-without-ids": Plan(
            {}, set(), "missing cells, put back: iou-any, nms-edges, nms-chain, hits-twice, ap-edges, why"
        ),
        "right-from-a-library": Plan({"nms": "from torchvision.ops import nms"}, remark="nms: uses torchvision"),
        # wrong
        "nothing-done": Plan({}, ALL, written=False),
        "inclusive": mistake("pixels counted inclusively"),
        "no-clamping": mistake("no clamping"),
        "ties": mistake("ties keep each other"),
        "twice": mistake("an object found twice is right twice"),
        "the-area": mistake("the area instead"),
        "typing-error": Plan({"nms": "def nms(boxes"}, of("nms"), "nms: SyntaxError"),
        # out of luck, or hostile
        "deletes-cells": Plan({}, set(), "missing cells, put back: tools, iou-apart", drop=("tools", "iou-apart")),
        "deletes-an-answer": Plan({}, of("hits"), "missing cells, put back: hits", drop=("hits",)),
        "no-notebook": Plan({}, ALL, "cannot be read as a notebook", raw="{not json", written=False, page=False),
        "huge": Plan({}, ALL, "25 MB, more than the 20 that are read", raw="x" * 25_000_000, written=False, page=False),
        "loops": Plan({"iou": "while True:\n    pass"}, NEED_IOU, too_long),
        "loops-and-will-not-stop": Plan({"iou": ignore + "while True:\n    pass"}, ALL, too_long),
        "floods": Plan({"iou": "while True:\n    print('x' * 1000)"}, NEED_IOU, too_long),
        "ends-python": Plan(
            {"nms": "import os\nos._exit(0)"}, ALL - of("iou"), "Python ended in the cell nms"
        ),
        "eats-memory": Plan(
            {"nms": "hoard = []\nwhile True:\n    hoard.append(bytearray(10**8))"}, of("nms"), "nms: MemoryError"
        ),
        "starts-hundreds": Plan(
            also("import subprocess, time\nfor _ in range(200): subprocess.Popen(['sleep', '99'])\ntime.sleep(9)"),
            ALL, "started more than 100 processes", page=False,
        ),
        "edits-the-tests": Plan(
            {**dict.fromkeys(POINTS, "pass"), "ap": "raise ValueError"}, of("ap"), "ap: ValueError"
        ),
        "replaces-the-tools": Plan(
            {"iou": "def close(*_): pass\nsame_rows = close\ndef box_iou(a, b): return 0"}, NEED_IOU
        ),
        "prints-the-tests": Plan({"ap": f"{a1.AP}\nprint(In)"}, set(), "ap: reaches for In"),
        "shouts": Plan(also(shout), NEED_IOU, "iou: ValueError: \N{REPLACEMENT CHARACTER}[2J"),
        "clears-outputs": Plan({"ap": clear}, of("ap"), "ap: reaches for get_ipython"),
        "writes-a-script": Plan(
            also("from IPython.display import HTML, display\ndisplay(HTML('<script>steal()</script>'))")
        ),
        # what only an isolated process is kept from
        "calls-home": Plan(
            {"ap": f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=5)\n{a1.AP}"},
            of("ap"), "ap: ConnectionRefusedError",
        ),
        "leaves-a-process": Plan(
            also(f"import subprocess\nsubprocess.Popen(['sleep', '{marker}'], start_new_session=True)")
        ),
        "looks-around": Plan(also(look + "assert not any(found), found")),
        "stops-the-grader": Plan(
            also("import os, signal\nfor _ in range(20): os.kill(1, signal.SIGINT), os.kill(1, signal.SIGTERM)")
        ),
        "deletes-everything": Plan(
            also(f"import shutil\nfor place in {private}:\n    shutil.rmtree(place, ignore_errors=True)")
        ),
    }  # fmt: skip


NEED_ISOLATION = (
    "calls-home",
    "leaves-a-process",
    "looks-around",
    "stops-the-grader",
    "deletes-everything",
    "eats-memory",
)


def hand_in(folder: Path, released: Path, student: str, plan: Plan) -> None:
    """Write one submission, made from the released notebook."""
    place = folder / student / NAME if student == "right-in-a-folder" else folder / student
    place.mkdir(parents=True)
    path = place / f"{NAME}.ipynb"
    if plan.raw is not None:
        path.write_text(plan.raw)
        return
    notebook = json.loads(released.read_text(encoding="utf-8"))
    answers = {} if student == "nothing-done" else {**RIGHT, **plan.changes}
    kept = []
    for cell in notebook["cells"]:
        name = cell["metadata"]["nbgrader"]["grade_id"]
        if name in plan.drop:
            continue
        if student == "right-but-answers-below" and name == "why":
            kept += [cell, {"cell_type": "markdown", "metadata": {}, "source": RIGHT["why"]}]
            continue
        cell["source"] = answers.get(name, cell["source"])
        if student in ("right-without-metadata", "right-without-ids"):
            del cell["metadata"]["nbgrader"]
        if student == "right-without-ids":
            del cell["id"]
            notebook["nbformat_minor"] = 2
        if student == "right-with-a-picture" and name == "why":
            cell["attachments"] = {"it.png": {"image/png": "iVBORw0KGgo="}}
        if student == "right-with-own-cells" and name == "iou":
            own = a1.IOU.replace("box_iou", "helper")
            kept.append({"cell_type": "code", "metadata": {}, "source": own, "outputs": [], "execution_count": None})
        kept.append(cell)
    notebook["cells"] = kept
    path.write_text(json.dumps(notebook), encoding="utf-8")
