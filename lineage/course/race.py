"""The benchmark on the reader's own functions: the same trained detectors, with the package's functions and theirs."""

from __future__ import annotations

import functools
import runpy
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lineage.bench.measure import measure
from lineage.common.tables import Table
from lineage.course.swap import SWAPPABLE, Function, using
from lineage.experiments.checking import checked_datasets
from lineage.experiments.detections import evaluate_detector
from lineage.experiments.experiment import Experiment
from lineage.experiments.generations import generation_of
from lineage.experiments.training import region_proposals, trained_detector

TIMED_PICTURES = 12


def functions_in(path: Path) -> dict[str, Function]:
    """The functions of a Python file that can take the place of the package's; the file is run.

    Raises:
        ValueError: no such file, a notebook, it fails, or it defines none.
    """
    if path.suffix == ".ipynb":
        raise ValueError(f"{path}: a notebook; copy your functions, and what they import, into a Python file")
    try:
        names = runpy.run_path(str(path))
    except Exception as error:
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from error
    found = {name: value for name, value in names.items() if name in SWAPPABLE and _is_own(value)}
    if not found:
        raise ValueError(f"{path}: defines none of {', '.join(SWAPPABLE)}")
    return found


def _is_own(value: Any) -> bool:
    return callable(value) and not getattr(value, "__module__", "").startswith("lineage.")


def race(
    functions: dict[str, Function], generations: Sequence[str], experiment: Experiment, say: Callable[[str], None]
) -> Table:
    """mAP on the test pictures and time a picture, of detectors that the package has trained.

    Returns:
        two rows a generation, with the package's functions and with the reader's; and how often each of these was
        called: one that a generation has no use for changes nothing. With ``evaluate_voc`` or ``voc_ap_*`` among
        them, "yours" is mAP as these see it.

    Raises:
        ValueError: a function cannot be called as the package does, or fails; the message says which, and where.
    """
    with using(**functions):
        pass  # before hours of training
    train, test = checked_datasets(experiment, say)
    regions, test_regions = (region_proposals(experiment, pictures) for pictures in (train, test))
    images = [test[i][0].to(experiment.device) for i in range(min(TIMED_PICTURES, len(test)))]
    rows = []
    for name in generations:
        detector, _ = trained_detector(experiment, name, 0, train, regions, say)
        given = None if generation_of(name).proposes else test_regions
        calls: Counter[str] = Counter()
        for whose, own in (("the package's", {}), ("yours", functions)):
            with using(**{key: _counted(key, function, calls) for key, function in own.items()}):
                result, _ = evaluate_detector(detector, test, given, f"{name}: {whose}")
                milliseconds = measure({name: detector}, images)[name]["ms_per_image"]
            called = ", ".join(f"{key} {calls[key]}x" for key in own) or "-"
            rows.append((generation_of(name).title, whose, f"{100 * result.map:.1f}", f"{milliseconds:.1f}", called))
    return Table("Whose functions", ("", "functions", "mAP, %", "ms a picture", "called"), rows)


def _counted(key: str, function: Function, calls: Counter[str]) -> Function:
    @functools.wraps(function)
    def counted(*arguments: Any, **named: Any) -> Any:
        calls[key] += 1
        try:
            return function(*arguments, **named)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(last.filename).name}, line {last.lineno}"
            raise ValueError(f"your {key} failed: {type(error).__name__}: {error} ({place})") from error

    return counted
