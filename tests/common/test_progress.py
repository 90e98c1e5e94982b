"""The bar is drawn on a terminal, and what is printed meanwhile goes where it was meant to go."""

from __future__ import annotations

import io
import sys

import pytest

from lineage.common.progress import progress_bar, track


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


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_within_a_bar_is_a_line_below_it(monkeypatch, terminal):
    screen = Terminal() if terminal else Stream()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("train", 3) as advance:
        advance(1, "loss 0.5")
        assert list(track(iter("ab"), "mAP on val", 2)) == ["a", "b"]
        with pytest.raises(KeyboardInterrupt), progress_bar("mAP on val", 2):
            raise KeyboardInterrupt
        advance(1, "")
    with progress_bar("after", 1) as advance:  # on a display of its own
        advance(1, "")
    said = screen.getvalue()
    assert ("train" in said and "mAP on val" in said and "after" in said) is terminal
    assert terminal or said == ""
