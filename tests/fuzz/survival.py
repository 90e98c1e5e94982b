"""What reading anything at all may cost: no traceback, ten seconds, two gigabytes."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from lineage.common.optimise import TrainingError

SAID = (ValueError, OSError, TrainingError)  # what cli.command makes one message of
SECONDS = 10
BYTES = 2_000_000_000
INPUTS = int(os.environ.get("LINEAGE_FUZZ", "60"))  # a reader


class Hang(BaseException):
    """Not an Exception, so that no reader takes it for damage."""


def fuzz(inputs: SearchStrategy[Any], share: float = 1) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A test that is run on many inputs: always the same few, or as many new ones as ``LINEAGE_FUZZ`` says.

    Args:
        share: of the inputs, where one takes long.
    """
    many = INPUTS > 60
    rules = settings(
        max_examples=max(1, int(INPUTS * share)),
        derandomize=not many,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
    return lambda test: rules(given(inputs)(test))


@contextmanager
def limits() -> Iterator[None]:
    """Ten seconds and two gigabytes more than before."""

    def stop(*_: Any) -> None:
        raise Hang(f"took more than {SECONDS} s")

    before, handler = _peak(), signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
    assert _peak() - before < BYTES, f"took {(_peak() - before) / 1e9:.1f} GB"


def _peak() -> int:
    """The most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def survives(read: Callable[[], Any], *names: str) -> Any:
    """What ``read`` returns; None where it refuses in one message that names one of ``names``."""
    with limits():
        try:
            return read()
        except SAID as error:
            message = str(error)
            assert message.strip(), f"{type(error).__name__} without a word"
            assert not names or any(name in message for name in names), f"does not name the file: {message[:500]!r}"
            return None


needs_alarm = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="hangs are found by SIGALRM")
