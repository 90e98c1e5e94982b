"""python -m lineage.course.execute FOLDER: run FOLDER/notebook.ipynb, a stranger's code, and leave what it put out.

A process of its own, which :mod:`lineage.course.worker` starts in :mod:`lineage.course.sandbox` and may kill. Nothing
of nbgrader is in its reach: neither scores nor solutions.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output

from lineage.course.sandbox import enter

NOTEBOOK, EXECUTED, ORDER = "notebook.ipynb", "executed.ipynb", "order.json"
NOT_RUN = "NotRun"  # the error of a cell that was not run, or not to its end
AGAIN = "tools"  # the id of the cell that is run again before every test, so that nobody's answer can replace it
MOST_OUTPUT = 100_000  # characters a cell; the rest is dropped
SECONDS_TO_STOP = 5  # that a cell has when it was interrupted


def execute(notebook: NotebookNode, seconds: float, seconds_a_cell: float) -> str | None:
    """Run every cell, in place; one that fails, is interrupted or could not be run has an error among its outputs.

    Returns:
        why not all cells were run, if so.
    """
    client = _Client(notebook, seconds, seconds_a_cell)
    tools = next((cell for cell in notebook.cells if _name(cell) == AGAIN), None)
    stopped = None
    with client.setup_kernel():
        for index, cell in enumerate(list(notebook.cells)):
            if cell.cell_type != "code":
                continue
            try:
                if stopped is not None:
                    raise stopped
                if tools is not None and cell.metadata.get("nbgrader", {}).get("grade"):
                    client.run(new_code_cell(tools.source), index)
                client.run(cell, index)
            except Stopped as reason:
                stopped = reason
                cell.outputs = [*cell.outputs, _error(NOT_RUN, str(reason))]
            notebook.cells[index] = cell  # nbclient has put there whatever it ran last
    return None if stopped is None else str(stopped)


class Stopped(Exception):
    """No further cell can be run; the message says why."""


class _Client(NotebookClient):
    """Knows when a cell failed from the kernel's reply, whatever became of its outputs."""

    def __init__(self, notebook: NotebookNode, seconds: float, seconds_a_cell: float) -> None:
        self.last, self.seconds, self.at_most = time.monotonic() + seconds, seconds, seconds_a_cell
        self.timed_out = False
        too_long = {"ename": "TooLong", "evalue": f"took longer than {seconds_a_cell:g} s", "traceback": []}
        super().__init__(
            notebook, kernel_name="python3", allow_errors=True, interrupt_on_timeout=True, error_on_timeout=too_long,
            raise_on_iopub_timeout=False, timeout_func=lambda cell: self._seconds_left(),
            on_cell_executed=self._note_failure,
        )  # fmt: skip

    def run(self, cell: NotebookNode, index: int) -> None:
        """Run a cell, which stands for the one of that index.

        Raises:
            Stopped: there is no time left, or Python does not answer any more.
        """
        name = _name(self.nb.cells[index])
        if time.monotonic() > self.last:
            raise Stopped(f"the {self.seconds:g} s for the whole notebook were used up before the cell {name}")
        try:
            self.execute_cell(cell, index)
            if self.timed_out:
                self.at_most, usual = SECONDS_TO_STOP, self.at_most
                self.execute_cell(new_code_cell("pass"), index)
                self.at_most = usual
        except DeadKernelError:
            raise Stopped(f"Python ended in the cell {name}") from None
        if self.timed_out:
            raise Stopped(f"the cell {name} took too long and could not be interrupted")

    def output(self, outs: list, msg: Any, display_id: Any, cell_index: int) -> Any:
        room = MOST_OUTPUT - sum(len(str(out)) for out in outs[-20:]) if len(outs) < 200 else 0
        return super().output(outs, msg, display_id, cell_index) if room > 0 or msg["msg_type"] == "error" else None

    def _seconds_left(self) -> int:
        return max(1, round(min(self.at_most, self.last - time.monotonic())))

    def _note_failure(self, cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        reply = execute_reply["content"]
        self.timed_out = reply.get("ename") == "TooLong"
        shown = any(out.output_type == "error" for out in cell.outputs) and not self.timed_out
        if reply["status"] != "ok" and not shown:
            cell.outputs = [*cell.outputs, _error(reply.get("ename", "Aborted"), reply.get("evalue", ""))]


def _error(name: str, value: str) -> NotebookNode:
    return new_output("error", ename=name, evalue=value, traceback=[f"{name}: {value}"])


def _name(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "of your own")


def main(folder: Path) -> None:
    order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
    enter(folder, [Path(path) for path in order["hidden"]], order["memory"])
    notebook = nbformat.read(folder / NOTEBOOK, as_version=4)
    stopped = execute(notebook, order["seconds"], order["seconds_a_cell"])
    notebook.metadata["stopped"] = stopped
    nbformat.write(notebook, folder / EXECUTED)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
