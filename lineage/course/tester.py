"""python -m lineage.course.tester CHANNEL: run the tests of one notebook; what they test is in another process.

Nothing of the student's is here: a name that the tests do not define themselves stands for what the answers, at the
other end of the channel, call so. Orders come line by line on stdin, and what came of each goes to stdout.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import json
import linecache
import os
import symtable
import sys
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from lineage.course.confine import hide
from lineage.course.exchange import MOST_TEXT, Stopped, Tests, way_to
from lineage.course.values import send


class Tester:
    """Tests that share their names, as the cells of a notebook do.

    Args:
        tools: code that the tests need. tests: all of their code.
    """

    def __init__(self, tools: str, tests: Sequence[str]) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(tools, "<tools>", "exec"), self.names)
        self.foreign = _foreign([tools, *tests]) - set(dir(builtins))

    def run(self, name: str, code: str, channel: Connection) -> None:
        """Run a test; it passes if nothing is raised.

        Raises:
            Exception: the test's own, or that of an answer. Stopped: the answers have ended.
        """
        end = Tests(channel, name)
        for word in self.foreign:
            self.names.pop(word, None)
            with contextlib.suppress(Exception):  # there is no such thing, or it cannot pass
                self.names[word] = end.get(word)
        place = f"<{name}>"
        linecache.cache[place] = (len(code), None, code.splitlines(keepends=True), place)
        exec(compile(code, place, "exec"), self.names)


def _foreign(sources: Iterable[str]) -> set[str]:
    """The names that code on one outermost level uses, and does not bind there."""
    used: set[str] = set()
    bound: set[str] = set()
    for source in sources:
        with contextlib.suppress(SyntaxError):  # which fails when it is run
            top = symtable.symtable(source, "<test>", "exec")
            bound |= {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
            waiting = [top]
            while waiting:
                table = waiting.pop()
                used |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
                waiting += table.get_children()
    return used - bound


def report(tester: Tester, name: str, code: str, channel: Connection) -> dict[str, Any]:
    """What a test has printed, and its error, if it has failed: name, message and traceback."""
    printed = io.StringIO()
    error = None
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            tester.run(name, code, channel)
    except (Exception, Stopped, SystemExit) as raised:
        where = getattr(raised, "where", "")
        trace = way_to(raised) + (f"\nIn the answer:\n\n{where}" if where else "")
        error = [type(raised).__name__, str(raised)[:MOST_TEXT], trace[-2 * MOST_TEXT :]]
    return {"printed": printed.getvalue()[-MOST_TEXT:], "error": error}


def main(channel: Connection) -> None:
    """Run test after test."""
    hide()
    orders, reports = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    tester = Tester(**json.loads(orders.readline()))
    print("ready", file=reports, flush=True)
    for line in orders:
        name, code = json.loads(line)
        print(json.dumps(report(tester, name, code, channel)), file=reports, flush=True)
        with contextlib.suppress(OSError):
            send(channel, [name, "enough"], {})


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
