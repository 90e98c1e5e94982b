"""Pictures and annotations, looked at before any work is done on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lineage.data.check import Report, check
from lineage.data.findings import DatasetError, errors_of
from lineage.data.voc import VOCDataset
from lineage.experiments.experiment import Experiment, Say

BAD_LISTED = 5  # pictures left out that are named


def checked_datasets(experiment: Experiment, say: Say) -> tuple[VOCDataset, VOCDataset]:
    """The training and the test split, after a check of both; raises as :func:`checked`."""
    train, test = experiment.datasets()
    learnt, tested = checked_for(experiment, [train, test], say)
    return learnt, tested


def checked_for(experiment: Experiment, datasets: Sequence[VOCDataset], say: Say) -> list[VOCDataset]:
    """An experiment's splits as :func:`checked`, those that are drawn here excepted."""
    if experiment.data == "shapes":
        return list(datasets)
    return checked(
        datasets, say, data=experiment.data, cache=experiment.cache, skip_bad=experiment.skip_bad,
        accept=experiment.accept, stated=experiment.classes is not None,
    )  # fmt: skip


def checked(
    datasets: Sequence[VOCDataset],
    say: Say,
    *,
    data: str,
    cache: Path,
    skip_bad: bool = False,
    accept: Sequence[str] = (),
    stated: bool = False,
    learns: bool = True,
) -> list[VOCDataset]:
    """One split, or the one to learn from and the one to test on; without their bad pictures where that is wanted.

    Args:
        data: what the user calls the data. skip_bad: leave pictures out that are unusable, instead of stopping.
        accept, stated: as of :meth:`~lineage.data.check.Report.accept` and :func:`~lineage.data.check.check`.
        learns: the first is to be learnt from, so it needs objects; False: it is tested on.
    Raises:
        DatasetError: everything that is wrong with them, at once.
    """

    def look(at: Sequence[VOCDataset]) -> Report:
        splits = {dataset.split: dataset for dataset in at}
        learnt, tested = (at[0].split if learns else None), (at[-1].split if len(at) > 1 or not learns else None)
        report = check(splits, learnt, tested, cache / "checks", stated=stated)
        report.accept(accept)
        return report

    chosen = list(datasets)
    report = look(chosen)
    if skip_bad and report.bad:
        chosen = [_without_bad(dataset, report, say) for dataset in datasets]
        report = look(chosen)
    wrong = errors_of(report.findings)
    if wrong:
        advice = f"`python -m lineage.check {data}` shows all that is wrong"
        if report.bad:
            advice += f"; --skip-bad goes on without {len(report.bad)} of {report.pictures} pictures"
        raise DatasetError(wrong, advice)
    odd = Counter(finding.kind for finding in report.findings)
    if odd:
        listed = ", ".join(f"{kind} ({count})" for kind, count in odd.most_common())
        say(f"checked {report.pictures} pictures; odd: {listed}; python -m lineage.check {data} says more")
    for dataset in chosen:
        dataset.quiet = True
    return chosen


def _without_bad(dataset: VOCDataset, report: Report, say: Say) -> VOCDataset:
    bad = [name for name in dataset.ids if name in report.bad]
    if not bad:
        return dataset
    listed = ", ".join(bad[:BAD_LISTED]) + (", ..." if len(bad) > BAD_LISTED else "")
    say(f"--skip-bad: {dataset.split}: {len(bad)} of {len(dataset)} pictures are left out: {listed}")
    return dataset.without(bad)
