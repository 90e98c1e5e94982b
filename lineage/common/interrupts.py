"""Ctrl-C between two things, and not in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until what is in here is done; for what takes milliseconds."""
    if threading.current_thread() is not threading.main_thread():  # that alone is ever interrupted
        yield
        return
    pressed = []

    def remember(*_: Any) -> None:
        pressed.append(True)

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)  # None: not set by Python
    if pressed:
        signal.raise_signal(signal.SIGINT)
