"""The pictures of an experiment, looked at before any work is done on them."""

from __future__ import annotations

from collections import Counter

from lineage.data.check import Report, check
from lineage.data.findings import DatasetError, errors_of
from lineage.data.voc import VOCDataset
from lineage.experiments.experiment import Experiment, Say

BAD_LISTED = 5  # pictures left out that are named


def checked_datasets(experiment: Experiment, say: Say) -> tuple[VOCDataset, VOCDataset]:
    """The training and the test split, after a check of both; raises as :func:`checked`."""
    train, test = experiment.datasets()
    learnt, tested = checked(experiment, [train, test], say)
    return learnt, tested


def checked_training_set(experiment: Experiment, say: Say) -> VOCDataset:
    """The split to learn from, after a check of it; raises as :func:`checked`."""
    (train,) = checked(experiment, [experiment.training_set()], say)
    return train


def checked(experiment: Experiment, datasets: list[VOCDataset], say: Say) -> list[VOCDataset]:
    """The splits, the one to learn from first; without their bad pictures where the experiment says so.

    Raises:
        DatasetError: everything that is wrong with them, at once.
    """
    if experiment.data == "shapes":  # drawn here
        return datasets
    report = _report(experiment, datasets)
    if experiment.skip_bad and report.bad:
        whole = datasets
        datasets = [dataset.without(report.bad) for dataset in whole]
        for before, after in zip(whole, datasets):
            if len(after) < len(before):
                bad = [name for name in before.ids if name in report.bad]
                listed = ", ".join(bad[:BAD_LISTED]) + (", ..." if len(bad) > BAD_LISTED else "")
                say(f"--skip-bad: {before.split}: {len(bad)} of {len(before)} pictures are left out: {listed}")
        report = _report(experiment, datasets)
    wrong = errors_of(report.findings)
    if wrong:
        raise DatasetError(wrong, _advice(experiment, report, wrong))
    warned = Counter(finding.kind for finding in report.findings)
    if warned:
        listed = ", ".join(f"{kind} ({count})" for kind, count in warned.most_common())
        say(f"checked {report.pictures} pictures; odd: {listed}; python -m lineage.check {experiment.data} says more")
    for dataset in datasets:
        dataset.quiet = True
    return datasets


def _report(experiment: Experiment, datasets: list[VOCDataset]) -> Report:
    splits = {dataset.split: dataset for dataset in datasets}
    learnt, tested = datasets[0].split, datasets[1].split if len(datasets) > 1 else None
    report = check(splits, learnt, tested, experiment.cache / "checks", stated=experiment.classes is not None)
    report.accept(experiment.accept)
    return report


def _advice(experiment: Experiment, report: Report, wrong: list) -> str:
    advice = f"`python -m lineage.check {experiment.data}` shows all that is wrong"
    bad = len(report.bad)
    return advice + (f"; --skip-bad goes on without {bad} of {report.pictures} pictures" if bad else "")
