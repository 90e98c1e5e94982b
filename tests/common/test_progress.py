"""Progress on a terminal: a bar within a bar, and nothing where it is not one."""

from __future__ import annotations

import io

import pytest

from lineage.common.progress import progress_bar, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_within_a_bar_is_a_line_below_it(monkeypatch, terminal):
    screen = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
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
