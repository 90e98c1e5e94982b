from __future__ import annotations

import dataclasses

import pytest

from lineage.bench.contradictions import CONTRADICTIONS, contradictions
from lineage.bench.published import PUBLISHED, QUANTITIES, SOURCES, find, headline
from lineage.bench.published_ap import PUBLISHED_AP, published_ap
from lineage.data.voc import VOC_CLASSES
from lineage.experiments.generations import GENERATIONS


def values(quantity, generation, source=""):
    return [p.value for p in find(quantity, generation) if p.source.startswith(source)]


@pytest.mark.parametrize(
    ("quantity", "source", "expected"),
    [  # FIDELITY.md section 5, row by row
        ("seconds_with_proposals", "D0", {"rcnn": [50], "fast_rcnn": [2], "faster_rcnn": [0.2]}),
        ("speedup_with_proposals", "D0", {"rcnn": [1], "fast_rcnn": [25], "faster_rcnn": [250]}),
        ("map_voc07", "D0", {"rcnn": [66.0], "fast_rcnn": [66.9], "faster_rcnn": [66.9]}),
        ("seconds_without_proposals", "D0", {"rcnn": [47], "fast_rcnn": [0.32]}),
        ("seconds_unspecified", "D1", {"rcnn": [47]}),
        ("seconds_unspecified", "D3", {"rcnn": [47]}),
        ("speedup_without_proposals", "D0", {"fast_rcnn": [146]}),
        ("training_speedup", "D0", {"fast_rcnn": [8.8]}),
        ("proposal_seconds", "D0", {"rcnn": [2], "fast_rcnn": [2], "faster_rcnn": [0.01]}),
        ("proposal_seconds", "D3", {"faster_rcnn": [0.01]}),
        ("map_voc07", "D2", {"rcnn": [66.0], "fast_rcnn": [66.9], "faster_rcnn": [83.8]}),
        ("seconds_unspecified", "D2, closing", {"rcnn": [32.84], "fast_rcnn": [1.72], "faster_rcnn": [2.24]}),
        ("fps", "D2, closing", {"rcnn": [0.03], "fast_rcnn": [0.6], "faster_rcnn": [0.4]}),
        ("seconds_without_proposals", "D2", {"fast_rcnn": [0.3]}),
        ("seconds_unspecified", "D2, Faster", {"faster_rcnn": [0.2]}),
        ("training_hours", "D3", {"rcnn": [84]}),
        ("training_hours", "Fast R-CNN paper", {"rcnn": [84], "sppnet": [25], "fast_rcnn": [9.5]}),
        (
            "seconds_without_proposals",
            "Fast R-CNN paper",
            {"rcnn": [47.0], "sppnet": [2.3], "fast_rcnn": [0.32, 0.22]},
        ),
        (
            "speedup_without_proposals",
            "Fast R-CNN paper",
            {"rcnn": [1], "sppnet": [20], "fast_rcnn": [146, 213]},
        ),
        (
            "map_voc07",
            "Fast R-CNN paper, table 4",
            {"rcnn": [66.0], "sppnet": [63.1], "fast_rcnn": [66.9, 66.6]},
        ),
        ("map_voc07_small", "", {"rcnn": [58.5], "sppnet": [59.2], "fast_rcnn": [57.1], "faster_rcnn": [59.9]}),
        ("map_ilsvrc13", "D2", {"rcnn": [31.4], "OverFeat": [24.3]}),
        ("fps", "D2", {"R-FCN": [5.9], "SSD300": [46], "SSD512": [19], "YOLOv1": [45], "YOLOv2": [40]}),
        ("map_voc07", "D2", {"R-FCN": [83.6], "SSD300": [74.3], "SSD512": [76.8], "YOLOv1": [63.4]}),
    ],
)
def test_figures(quantity, source, expected):
    for generation, figures in expected.items():
        assert values(quantity, generation, source) == figures


def test_the_reports_choice():
    assert headline("map_voc07", "faster_rcnn").value == 69.9
    assert headline("map_voc07", "fast_rcnn").source == "Fast R-CNN paper, table 4"
    assert headline("speedup_without_proposals", "sppnet").value == 20
    assert headline("speedup_with_proposals", "sppnet") is None
    with pytest.raises(ValueError, match=r"speedup.*speedup_with_proposals"):
        headline("speedup", "rcnn")


def test_every_figure_names_a_known_source_quantity_and_unit():
    for figure in PUBLISHED:
        assert figure.source.split(",")[0] in SOURCES, figure
        assert "," in figure.source, figure  # and where in it
        assert figure.quantity in QUANTITIES and figure.value > 0, figure
    assert len({dataclasses.astuple(figure) for figure in PUBLISHED}) == len(PUBLISHED)
    assert {p.quantity for p in PUBLISHED} == set(QUANTITIES)
    units = {(p.quantity, p.unit) for p in PUBLISHED}
    assert len(units) == len(QUANTITIES)


def test_sources_hold_together():
    """A speed-up is the ratio of the seconds of the same table, as far as its printed digits go."""
    seconds = {p.generation: p.value for p in find("seconds_with_proposals") if p.source.startswith("D0")}
    for figure in find("speedup_with_proposals"):
        assert figure.value == pytest.approx(seconds["rcnn"] / seconds[figure.generation])
    for p in find("training_hours"):
        if p.source == "Fast R-CNN paper, table 4":
            assert headline("training_speedup", p.generation).value == pytest.approx(84 / p.value, rel=0.02)
    for name in ("fast_rcnn", "faster_rcnn"):
        [total] = values("seconds_with_proposals", name, "Faster R-CNN paper")
        parts = ("conv_seconds", "proposal_seconds", "region_seconds")
        assert sum(values(part, name, "Faster R-CNN paper")[0] for part in parts) == pytest.approx(total)


def test_contradictions_are_of_those_who_ran():
    assert {name for c in CONTRADICTIONS for name in c.generations} == set(GENERATIONS)
    assert [c.subject for c in contradictions(["rcnn"], figures_only=True)] == ["R-CNN, time a picture"]
    assert contradictions([]) == []
    every = contradictions(list(GENERATIONS))
    assert every == list(CONTRADICTIONS)
    assert len(contradictions(list(GENERATIONS), figures_only=True)) < len(every)


def test_a_class_s_figures_have_the_mean_that_is_printed_beside_them():
    for row in PUBLISHED_AP:
        assert len(row.ap) == len(VOC_CLASSES) == 20
        assert sum(row.ap) / 20 == pytest.approx(row.map, abs=0.0501)
        figures = find("map_voc07", row.generation) + find("map_voc07_small", row.generation)
        assert row.map in [figure.value for figure in figures]
    assert {row.generation for row in PUBLISHED_AP} == set(GENERATIONS)
    assert published_ap("rcnn").network == "AlexNet"
    assert published_ap("rcnn").of_class("aeroplane") == 68.1 and published_ap("rcnn").of_class("tvmonitor") == 64.8
    assert published_ap("rcnn").of_class("disc") is None and published_ap("YOLOv1") is None
