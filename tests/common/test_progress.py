"""The bar is drawn on a terminal, and what is printed meanwhile goes where it was meant to go."""

from __future__ import annotations

import io
import sys

import pytest

from lineage.common.progress import track


class Stream(io.StringIO):
    terminal = False

    def isatty(self) -> bool:
        return self.terminal


class Terminal(Stream):
    terminal = True


@pytest.mark.parametrize(("out", "total"), [(Stream(), 3), (Terminal(), 3), (Terminal(), None)])
def test_printing_while_the_bar_is_drawn(monkeypatch, out, total):
    error = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", error)
    monkeypatch.setenv("TERM", "xterm")
    for item in track("abc", "letters", total):
        print(f"item {item}")
    assert "letters" in error.getvalue()
    lines = ["item a", "item b", "item c"]
    if out.terminal:  # the bar's own console prints above the bar
        assert all(line in error.getvalue() for line in lines)
    else:
        assert out.getvalue().split("\n")[:3] == lines and "item" not in error.getvalue()


def test_no_terminal_no_bar(monkeypatch):
    error = Stream()
    monkeypatch.setattr(sys, "stderr", error)
    assert list(track("abc", "letters", 3)) == ["a", "b", "c"]
    assert error.getvalue() == ""
