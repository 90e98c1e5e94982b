"""python -m lineage.course.execute FILE LEASH: run the notebook that stands in its input, a stranger's code.

A process of its own, which :mod:`lineage.course.worker` starts in :mod:`lineage.course.sandbox` and may kill. Nothing
of nbgrader is in its reach: neither scores nor solutions. Answers run in a kernel, tests in
:mod:`lineage.course.tester`; values pass between them (:mod:`lineage.course.exchange`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode, ValidationError
from nbformat.v4 import new_code_cell, new_output

from lineage.course.confine import hide
from lineage.course.restore import mark
from lineage.course.sandbox import limit
from lineage.course.watch import end_with

NOT_RUN = "NotRun"  # the error of a cell that was not run, or not to its end
TOO_LONG = "TooLong"
AGAIN = "tools"  # the id of the cell that is run again before every test, so that nobody's answer can replace it
BY_HAND = "by-hand"  # the tag of a cell that is for the student alone and is not run here
MOST_OUTPUT, MOST_OUTPUTS, MOST_ERROR = 300_000, 200, 20_000  # characters a cell, messages, an error; no more is kept
TOGETHER = (
    "one-process"  # the tag of a test that runs in the answers' process, since it takes more than values from them
)
SERVE = "__import__('lineage.course.exchange', fromlist=['serve']).serve({}, {!r}, globals())"
SECONDS_TO_START = 120  # that the tests' process has to import what it needs
SECONDS_TO_STOP = 5  # that a cell has when it was interrupted


def execute(notebook: NotebookNode, seconds: float, seconds_a_cell: float) -> str | None:
    """Run every cell, in place; one that fails, is interrupted or could not be run has an error among its outputs.

    Returns:
        why not all cells were run, if so.
    """
    client = _Client(notebook, seconds, seconds_a_cell)
    tools = next((cell for cell in notebook.cells if _name(cell) == AGAIN), None)
    apart = [cell for cell in notebook.cells if _is_apart(cell)]
    stopped = None
    with _TestsApart(tools, apart) as tests, client.setup_kernel(pass_fds=[tests.line.fileno()]):
        for index, cell in enumerate(list(notebook.cells)):
            if cell.cell_type != "code" or BY_HAND in cell.metadata.get("tags", ()):
                continue
            try:
                if stopped is not None:
                    raise stopped
                test = mark(cell).get("grade", False)
                if _is_apart(cell):
                    tests.run(cell, client, index)
                    continue
                if test and tools is not None:
                    client.run(new_code_cell(tools.source), index, remembered=False)
                client.run(cell, index, remembered=not test)  # or a cell further down could print the hidden tests
            except Stopped as reason:
                stopped = reason
                cell.outputs = [*cell.outputs, _error(NOT_RUN, str(reason))]
            finally:
                notebook.cells[index] = cell  # nbclient has put there whatever it ran last
    return None if stopped is None else str(stopped)


def _is_apart(cell: NotebookNode) -> bool:
    """Whether a cell is a test that runs where no answer is."""
    test = cell.cell_type == "code" and mark(cell).get("grade") and not mark(cell).get("solution")
    return bool(test) and TOGETHER not in cell.metadata.get("tags", ())


class _TestsApart:
    """The tests' own process, and the line from there to the answers: see :mod:`lineage.course.tester`."""

    def __init__(self, tools: NotebookNode | None, tests: list[NotebookNode]) -> None:
        self.line, others = socket.socketpair()
        with others:
            command = [sys.executable, "-m", "lineage.course.tester", str(others.fileno())]
            self.process = subprocess.Popen(
                command if tests else [sys.executable, "-c", "print()"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[others.fileno()], text=True,
            )  # fmt: skip
        code = {"tools": tools.source if tools else "", "tests": [cell.source for cell in tests]}
        self._tell(code)

    def __enter__(self) -> _TestsApart:
        """Wait until nobody can look into that process: then an answer may run.

        Raises:
            RuntimeError: it does not start.
        """
        if not self._said(SECONDS_TO_START):
            self.__exit__()
            raise RuntimeError("the tests' own process did not start")
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.line.close()

    def run(self, cell: NotebookNode, client: _Client, index: int) -> None:
        """Run a test there, while the answers' Python serves it; what came of both are the cell's outputs.

        Raises:
            Stopped: as of :meth:`_Client.run`, or the test has not ended.
        """
        name = _name(cell)
        self._tell([name, cell.source])
        serving = new_code_cell(SERVE.format(self.line.fileno(), name))
        try:
            client.run(serving, index, remembered=False)
        finally:
            errors = [out for out in serving.outputs if out.output_type == "error"]
            cell.outputs = [out for out in serving.outputs if out.output_type != "error"]
        done = json.loads(self._said(SECONDS_TO_STOP) or "null")
        if done is None:
            raise Stopped(f"the test {name} did not end")
        if done["printed"]:
            cell.outputs.append(new_output("stream", name="stdout", text=done["printed"]))
        if errors and errors[-1].ename == TOO_LONG:
            cell.outputs.append(errors[-1])
        elif done["error"] is not None:
            error, message, trace = done["error"]
            cell.outputs.append(new_output("error", ename=error, evalue=message, traceback=[trace]))

    def _tell(self, order: Any) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: then it says nothing
            print(json.dumps(order), file=self.process.stdin, flush=True)

    def _said(self, seconds: float) -> str:
        """What it says next; nothing, if it does not within that time."""
        assert self.process.stdout is not None
        there, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self.process.stdout.readline() if there else ""


class Stopped(Exception):
    """No further cell can be run; the message says why."""


class _Client(NotebookClient):
    """Knows when a cell failed from the kernel's reply, whatever became of its outputs."""

    def __init__(self, notebook: NotebookNode, seconds: float, seconds_a_cell: float) -> None:
        self.last, self.seconds, self.at_most = time.monotonic() + seconds, seconds, seconds_a_cell
        self.timed_out = False
        super().__init__(
            notebook, kernel_name="python3", allow_errors=True, interrupt_on_timeout=True,
            raise_on_iopub_timeout=False, on_cell_executed=self._note_failure,
        )  # fmt: skip

    def run(self, cell: NotebookNode, index: int, remembered: bool = True) -> None:
        """Run a cell, which stands for the one of that index.

        Args:
            remembered: IPython keeps its code (``In``).
        Raises:
            Stopped: there is no time left, or Python does not answer any more.
        """
        name = _name(self.nb.cells[index])
        if time.monotonic() > self.last:
            raise Stopped(f"the {self.seconds:g} s for the whole notebook were used up before the cell {name}")
        try:
            self._execute(cell, index, min(self.at_most, self.last - time.monotonic()), remembered)
            if self.timed_out:
                self._execute(new_code_cell("pass"), index, SECONDS_TO_STOP)
        except DeadKernelError:
            raise Stopped(f"Python ended in the cell {name}") from None
        if self.timed_out:
            raise Stopped(f"the cell {name} took too long and could not be interrupted")

    def _execute(self, cell: NotebookNode, index: int, seconds: float, remembered: bool = True) -> None:
        self.timeout = max(1, round(seconds))
        self.error_on_timeout = {
            "ename": TOO_LONG, "evalue": f"took longer than {self.timeout} s", "traceback": [],
        }  # fmt: skip
        self.execute_cell(cell, index, store_history=remembered)

    def output(self, outs: list, msg: Any, display_id: Any, cell_index: int) -> Any:
        """nbclient's, of a message cut to what is still allowed."""
        room = max(0, MOST_OUTPUT - sum(len(str(out)) for out in outs))
        content = msg["content"]
        if msg["msg_type"] == "error":  # always kept: it may say why there are no points
            content["evalue"] = content["evalue"][:MOST_ERROR]
            content["traceback"] = ["\n".join(content["traceback"])[-MOST_ERROR:]]
        elif msg["msg_type"] == "stream":
            content["text"] = content["text"][:room]
        if len(outs) > MOST_OUTPUTS or (msg["msg_type"] != "error" and len(str(content)) > room):
            return None
        try:
            return super().output(outs, msg, display_id, cell_index)
        except ValidationError:  # a stranger's message may be anything
            return None

    def _note_failure(self, cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        reply = execute_reply["content"]
        self.timed_out = reply.get("ename") == TOO_LONG
        shown = any(out.output_type == "error" for out in cell.outputs) and not self.timed_out
        if reply["status"] != "ok" and not shown:
            cell.outputs = [*cell.outputs, _error(reply.get("ename", "Aborted"), reply.get("evalue", ""))]


def _error(name: str, value: str) -> NotebookNode:
    return new_output("error", ename=name, evalue=value, traceback=[f"{name}: {value}"])


def _name(cell: NotebookNode) -> str:
    return mark(cell).get("grade_id", "of your own")


def main(result: int, leash: int) -> None:
    """Both are the numbers of what is open: no path leads there that what runs here could take."""
    hide()  # it has the hidden tests
    for number in (result, leash):
        os.set_inheritable(number, False)
    end_with(leash)
    signal.signal(signal.SIGINT, lambda *_: None)  # nor can it be stopped halfway
    order = json.load(sys.stdin)
    limit(order["memory"])
    home = os.getcwd()
    sys.path[:] = [path for path in sys.path if os.path.realpath(path) != home]  # nothing is imported from there
    notebook = nbformat.reads(order["notebook"], as_version=4)
    notebook.metadata["stopped"] = execute(notebook, order["seconds"], order["seconds_a_cell"])
    with open(result, "w", encoding="utf-8", errors="replace") as file:
        file.write(nbformat.writes(notebook))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
