"""The papers' ablations on six pictures: that each variant is what its name says, not how well it does."""

from __future__ import annotations

import dataclasses
import itertools
import json
from dataclasses import replace

import pytest
import torch

from lineage.backbones import build_backbone
from lineage.bench.__main__ import ABLATION_NAMES
from lineage.bench.ablations import variant as variant_module
from lineage.bench.ablations.rebuilt import truncated
from lineage.bench.ablations.report import ablation_table, footnotes, write_ablation
from lineage.bench.ablations.run import as_pretrained, detector_of, run_ablation
from lineage.bench.ablations.table import ABLATIONS
from lineage.bench.ablations.variant import Setting
from lineage.common.stages import trace
from lineage.experiments import pretrained
from lineage.experiments.checkpoints import save_detector
from lineage.experiments.experiment import Experiment, changed
from lineage.experiments.generations import GENERATIONS, RECIPES, build_detector, named_recipe
from lineage.experiments.pretraining import pretrained_backbone
from lineage.experiments.training import trained_detector
from lineage.faster_rcnn.rpn import anchors_of


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return Experiment(
        data="shapes", backbone="tiny", weights=None, recipe="quick", cache=tmp_path_factory.mktemp("cache"),
        device=torch.device("cpu"), steps=2, pretraining_crops=80, limit_pictures=(6, 3),
    )  # fmt: skip


@pytest.fixture(scope="module")
def setting(experiment):
    return Setting(experiment, *experiment.datasets(), 0, lambda line: None)


def variant(name, label):
    (found,) = [one for one in ABLATIONS[name].variants if one.label == label]
    return found


def measured(name, label, setting):
    return detector_of(variant(name, label), setting)


def untouched(setting, generation="fast_rcnn", **fields):
    altered = replace(setting.experiment, **fields)
    return trained_detector(altered, generation, 0, setting.train, setting.regions, setting.say)[0]


def test_the_command_line_knows_them_all():
    assert tuple(ABLATIONS) == ABLATION_NAMES


@pytest.mark.parametrize("name", ABLATION_NAMES)
def test_every_change_is_of_a_field_that_the_recipe_has(name):
    labels = [one.label for one in ABLATIONS[name].variants]
    assert len(set(labels)) == len(labels) > 1
    for one in ABLATIONS[name].variants:
        assert one.generation in GENERATIONS
        for recipe in RECIPES:
            own = named_recipe(one.generation, recipe)
            for change in (one.train, one.test):
                changed(own, tuple(change(own).items()))  # an unknown field raises TypeError


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_two_variants_of_anchors_or_scales_are_the_same(recipe):
    """A recipe that lists its anchors one by one has no scales to leave out."""
    made = {"anchors": lambda own: anchors_of(own.rpn).tolist(), "spp-scales": lambda own: own.scales}
    for name, made_of in made.items():
        found = []
        for one in ABLATIONS[name].variants:
            own = named_recipe(one.generation, recipe)
            found.append(made_of(changed(own, tuple(one.train(own).items()))))
        assert all(a != b for a, b in itertools.combinations(found, 2)), name


def test_five_scales_are_the_papers_around_the_recipes_own():
    own = named_recipe("sppnet", "evening")
    _, five = (changed(own, tuple(one.train(own).items())) for one in ABLATIONS["spp-scales"].variants)
    assert five.scales == (314, 377, 450, 565, 785)  # 480, 576, 688, 864, 1200 times 450 / 688
    assert five.longer / five.scales[-1] == pytest.approx(own.longer / 450, rel=1e-3)


def test_a_dotted_change_reaches_the_nested_field_only():
    recipe = named_recipe("faster_rcnn", "quick")
    found = changed(recipe, (("rpn.scales", (9,)), ("flip", False)))
    assert found.rpn.scales == (9,) and found.flip is False
    assert replace(found, flip=recipe.flip, rpn=replace(found.rpn, scales=recipe.rpn.scales)) == recipe


@pytest.mark.parametrize("name", ["box-regression", "spp-scales", "sharing", "rpn-proposals"])
def test_the_whole_path_gives_a_row_a_variant(name, experiment, tmp_path):
    lines = []
    results = run_ablation(name, experiment, [0], lines.append)
    labels = [one.label for one in ABLATIONS[name].variants]
    assert list(results["variants"]) == labels
    for row in results["variants"].values():
        assert 0 <= row["map_mean"] <= 1 and row["map_values"] == [row["map_mean"]]
        assert row["ms_per_image_without_proposals"] > 0
        assert row["map_70_values"] == [row["map_70_mean"]] and row["map_70_mean"] <= row["map_mean"]
    assert sum(line.startswith(tuple(labels)) for line in lines) >= len(labels)
    facts = {"data": "shapes", "backbone": "tiny", "recipe": "quick", "seeds": [0], "device": "here",
             "versions": {"torch": "2"}, "commit": "abc", "command": "python -m x"}  # fmt: skip
    results |= facts
    written = write_ablation(results, tmp_path)
    assert json.loads(written[0].read_text())["variants"] == results["variants"]
    text = written[1].read_text()
    assert all(f"| {label} |" in text for label in labels) and ABLATIONS[name].source in text
    assert len(ablation_table(results).rows) == len(labels)
    assert "6 training and 3 test pictures" in footnotes(results)[0]


def test_without_regression_boxes_are_the_proposals(setting):
    for name, label in (("box-regression", "R-CNN without"), ("multi-task", "both losses, boxes not moved at test")):
        detector, given = measured(name, label, setting)
        detector.recipe = replace(detector.recipe, score_threshold=-100.0)
        found = detector([setting.test[0][0]], [given[0]])[0]["boxes"]
        assert len(found) > 0
        assert (torch.cdist(found, given[0]).amin(dim=1) < 1e-3).all()


def test_one_task_trains_without_the_box_loss(setting):
    recipe = named_recipe("fast_rcnn", "quick")
    assert variant("multi-task", "classifier alone").train(recipe) == {"regression_weight": 0.0}
    plain = untouched(setting).head.bbox_pred.weight
    alone = untouched(setting, changes=(("regression_weight", 0.0),)).head.bbox_pred.weight
    assert not torch.equal(plain, alone)


def test_which_layers_learn(setting):
    fresh = pretrained_backbone(setting.experiment, 0, setting.say)[0].conv
    changed_layers = {}
    for label in ("fc layers only", "all but the backbone's first", "all"):
        conv = measured("trained-layers", label, setting)[0].backbone.conv
        pairs = zip(fresh.state_dict().items(), conv.state_dict().values())
        changed_layers[label] = [name for (name, a), b in pairs if not torch.equal(a, b)]
    names = list(fresh.state_dict())
    assert changed_layers["fc layers only"] == []
    assert changed_layers["all"] == names
    assert changed_layers["all but the backbone's first"] == names[2:]


def test_fewer_proposals_are_the_first_ones(setting):
    detector, given = measured("proposals", "0.0625 of them", setting)
    assert [len(boxes) for boxes in given] == [min(19, len(boxes)) for boxes in setting.test_regions]
    assert detector.recipe.proposals.limit == 19
    assert torch.equal(given[0], setting.test_regions[0][:19])


def test_svd_leaves_fewer_weights(setting):
    sizes = []
    for one in ABLATIONS["svd"].variants:
        detector, _ = detector_of(one, setting)
        sizes.append(sum(p.numel() for p in detector.head.fc.parameters()))
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == len(sizes)


def test_svd_of_a_convolutional_fc_part_is_refused():
    detector = build_detector("fast_rcnn", build_backbone("resnet18"), ("a",), named_recipe("fast_rcnn", "quick"))
    with pytest.raises(ValueError, match=r"needs a backbone with 2 fully connected layers .*; resnet18 has 0"):
        truncated((0.5, 0.5))(detector, None)


def test_svms_take_the_softmaxs_place(setting):
    detector, given = measured("svm-softmax", "SVMs", setting)
    with trace(detector, count=False) as t:
        detector([setting.test[0][0]], [given[0]])
    assert "svm" in t.names and "softmax" not in t.names
    fc7 = t["fc"].outputs
    torch.testing.assert_close(t["svm"].outputs, detector.svms(fc7))
    assert detector.svms.weight.abs().sum() > 0
    assert list(setting.experiment.cache.glob("tmp*")) == []  # its feature cache is gone


def test_without_fine_tuning_the_network_is_the_pre_trained_one(setting):
    fresh = pretrained_backbone(setting.experiment, 0, setting.say)[0].state_dict()
    plain, _ = measured("fine-tuning", "last layer, as pre-trained", setting)
    tuned, _ = measured("fine-tuning", "last layer, fine-tuned", setting)
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in plain.backbone.state_dict().items())
    assert any(not torch.equal(tensor, fresh[name]) for name, tensor in tuned.backbone.state_dict().items())
    assert plain.svms.weight.abs().sum() > 0


def test_svms_read_pool5(setting):
    detector, given = measured("fine-tuning", "pool5, as pre-trained", setting)
    image = setting.test[0][0]
    with trace(detector, count=False) as t:
        detector([image], [given[0]])
    crops = t["warp"].outputs
    with torch.inference_mode():
        pool5 = detector.backbone.pool5(crops).flatten(1)
        margins, moved = detector.svms(pool5), detector.regressors(pool5, given[0])
    assert detector.svms.weight.shape == (len(detector.classes), pool5.shape[1])
    torch.testing.assert_close(t["svm"].outputs, margins, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(moved[:, 0], given[0])
    assert list(setting.experiment.cache.glob("tmp*")) == []


def test_unshared_networks_share_nothing(setting):
    detector, given = measured("sharing", "unshared", setting)
    own, others = detector.backbone.conv.state_dict(), detector.proposer.backbone.conv.state_dict()
    assert any(not torch.equal(tensor, others[name]) for name, tensor in own.items())
    with trace(detector, count=False) as t:
        detector([setting.test[0][0]])
    assert t.records[0].name == "rpn, apart"
    assert torch.equal(t.records[0].outputs, given[0])
    fields = [f.name for f in dataclasses.fields(detector.recipe) if hasattr(detector.proposer.recipe, f.name)]
    assert len(fields) > 10  # trained by the settings of Faster R-CNN's own detector
    assert all(getattr(detector.recipe, name) == getattr(detector.proposer.recipe, name) for name in fields)


def test_fast_rcnn_takes_the_rpns_proposals_as_it_is(setting):
    detector, given = measured("proposers", "RPN, 100", setting)
    _, searched = measured("proposers", "selective search", setting)
    assert searched is setting.test_regions
    proposer = untouched(setting, "faster_rcnn", changes=(("rpn.after_nms_test", 100),))
    own = untouched(setting).state_dict()
    for index, boxes in enumerate(given):
        assert torch.equal(boxes, proposer.propose(setting.test[index][0])) and len(boxes) <= 100
    assert all(torch.equal(tensor, detector.state_dict()[name]) for name, tensor in own.items())
    with trace(detector, count=False) as t:
        detector([setting.test[0][0]])
    assert t.records[0].name == "rpn, apart" and torch.equal(t.records[0].outputs, given[0])


def test_anchors_and_proposals_follow_the_variant(setting):
    counts = {one.label: 0 for one in ABLATIONS["anchors"].variants}
    for one in ABLATIONS["anchors"].variants:
        recipe = changed(
            named_recipe("faster_rcnn", "quick"), tuple(one.train(named_recipe("faster_rcnn", "quick")).items())
        )
        counts[one.label] = len(recipe.rpn.scales) * len(recipe.rpn.ratios)
    assert list(counts.values()) == [1, 1, 3, 3, 3, 9]
    few, _ = measured("rpn-proposals", "30", setting)
    everything, _ = measured("rpn-proposals", "all, without NMS", setting)
    image = setting.test[0][0]
    assert len(few.propose(image)) == 30
    assert len(everything.propose(image)) > 1000


def test_what_models_has_is_compared_without_training(experiment, setting, tmp_path, monkeypatch):
    detector = untouched(setting, "faster_rcnn")
    save_detector(detector, tmp_path / "voc2007-faster_rcnn.safetensors", recipe_name="quick")
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    given = as_pretrained("rpn-proposals", replace(experiment, backbone="resnet18", recipe="paper"))
    assert (given.backbone, given.recipe, given.classes) == ("tiny", "quick", detector.classes)
    found = {}
    for pretrained_or_not in (True, False):
        with monkeypatch.context() as patch:
            if pretrained_or_not:
                patch.setattr(variant_module, "trained_detector", None)
            else:
                patch.setattr(variant_module, "require_model", None)
            found[pretrained_or_not] = run_ablation("rpn-proposals", given, [0], lambda line: None, pretrained_or_not)
    values = [[row["map_values"] for row in results["variants"].values()] for results in found.values()]
    assert values[0] == values[1]


def test_trainings_are_not_compared_without_training(experiment):
    with pytest.raises(ValueError, match="--pretrained: multi-task compares trainings: 'classifier alone' is one"):
        as_pretrained("multi-task", experiment)
    with pytest.raises(ValueError, match="--pretrained: sharing compares trainings: 'unshared' is one"):
        as_pretrained("sharing", experiment)
