"""What every test may rely on: two threads, repeatable hypothesis runs, the shared pictures' folder."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))
from local_server import Server

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("repeatable")
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", min(2, os.cpu_count() or 1))))


@pytest.fixture(scope="session")
def bccd() -> Path:
    """The blood-cell pictures that may lie beside the checkout; tests that need them skip without."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "BCCD"
    if not folder.is_dir():
        pytest.skip("the BCCD pictures are not beside this checkout (../shared/data/BCCD)")
    return folder


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server on this machine."""
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()
