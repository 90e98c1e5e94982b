"""VOC from a server of our own: every way in which a download goes wrong, over a real socket."""

from __future__ import annotations

import errno
import hashlib
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torchvision.datasets.voc
import typer
from local_server import Server
from typer.testing import CliRunner

from lineage import evaluate, train
from lineage.common import download
from lineage.common.download import DownloadError, fetch, unpack
from lineage.data.catalogue import open_dataset
from lineage.data.findings import VOCFormatError
from lineage.data.voc import VOC_CLASSES

MakeVOC = Callable[..., Path]


def md5(data: bytes) -> str:
    return f"md5:{hashlib.md5(data).hexdigest()}"


DATA = bytes(range(256)) * 12_000  # 3 MB, some three reads


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    server.files["a.tar"] = DATA
    for _ in range(2):
        fetch(server.url("a.tar"), md5(DATA), tmp_path / "new" / "a.tar")
    assert (tmp_path / "new" / "a.tar").read_bytes() == DATA
    assert server.asked == [("a.tar", None)]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.tar"]


@pytest.mark.parametrize("resumes", [True, False])
def test_a_cut_connection_is_said_and_the_rest_is_fetched_next_time(
    server: Server, tmp_path: Path, resumes: bool
) -> None:
    server.files["a.tar"], server.cut_after, server.resumes = DATA, 1_500_000, resumes
    with pytest.raises(DownloadError, match=r"broke off after 1500000 bytes of 3072000; the same command goes on"):
        fetch(server.url("a.tar"), md5(DATA), tmp_path / "a.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.part"]
    server.cut_after = None
    fetch(server.url("a.tar"), md5(DATA), tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_bytes() == DATA
    assert server.asked == [("a.tar", None), ("a.tar", "bytes=1500000-")]


def test_a_part_that_is_already_whole_is_only_checked(server: Server, tmp_path: Path) -> None:
    server.files["a.tar"] = DATA
    (tmp_path / "a.tar.part").write_bytes(DATA)
    fetch(server.url("a.tar"), md5(DATA), tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_bytes() == DATA


def test_a_wrong_checksum_deletes_what_came(server: Server, tmp_path: Path) -> None:
    server.files["a.tar"] = DATA[:-1] + b"!"
    with pytest.raises(DownloadError, match=rf"{md5(server.files['a.tar'])}, expected {md5(DATA)}"):
        fetch(server.url("a.tar"), md5(DATA), tmp_path / "a.tar")
    assert list(tmp_path.iterdir()) == []


def test_what_the_server_answers_is_in_the_message(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"none\.tar: the server answers 404 Not Found"):
        fetch(server.url("none.tar"), "md5:0", tmp_path / "a.tar")
    address = server.url("a.tar")
    server.server_close()
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch(address.replace("127.0.0.1", "127.0.0.2"), "md5:0", tmp_path / "a.tar")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_refused_before_the_first_byte(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["a.tar"] = DATA
    few = shutil.disk_usage(tmp_path)._replace(free=5_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: few)
    with pytest.raises(DownloadError, match=r"needs 6\.14 MB, and 5 MB are free"):  # with what it unpacks to
        fetch(server.url("a.tar"), md5(DATA), tmp_path / "a.tar")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_on_the_way_keeps_what_came(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["a.tar"] = DATA
    really_copy = download._copy

    def fill_up(response: io.BufferedIOBase, part: Path, have: int, total: int) -> int:
        part.write_bytes(response.read(1_000_000))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_copy", fill_up)
    with pytest.raises(DownloadError, match=r"no space left on the disk: broke off after 1000000 bytes; make room"):
        fetch(server.url("a.tar"), md5(DATA), tmp_path / "a.tar")
    monkeypatch.setattr(download, "_copy", really_copy)
    fetch(server.url("a.tar"), md5(DATA), tmp_path / "a.tar")
    assert server.asked[-1] == ("a.tar", "bytes=1000000-")


def packed(folder: Path, inside: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(folder, inside)
    return buffer.getvalue()


def test_a_damaged_archive_leaves_nothing_of_itself(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name in "ab":
        (tmp_path / "pictures" / name).write_bytes(DATA)
    into = tmp_path / "into"
    into.mkdir()
    archive = into / "a.tar"
    archive.write_bytes(packed(tmp_path / "pictures", "VOC")[: len(DATA) * 3 // 2])
    with pytest.raises(DownloadError, match=r"a\.tar: cannot be unpacked"):
        unpack(archive, into)
    assert list(into.iterdir()) == [archive]


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("boo")
    into = tmp_path / "cache" / "into"
    into.mkdir(parents=True)
    (into / "a.tar").write_bytes(packed(tmp_path / "evil", "../outside"))
    with pytest.raises(DownloadError, match="cannot be unpacked"):
        unpack(into / "a.tar", into)
    assert not (tmp_path / "cache" / "outside").exists()


@pytest.fixture
def voc(server: Server, make_voc: MakeVOC, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Both years as small archives in VOC's layout, at the addresses that torchvision is made to know."""
    pictures = {
        "2007": ({"000001": [("dog", (1, 1, 9, 9))], "000002": [("cat", (5, 5, 20, 20))]}, "trainval"),
        "2007-test": ({"000003": [("dog", (2, 2, 12, 12))]}, "test"),
        "2012": ({"2008_000001": [("person", (3, 3, 13, 13))], "2008_000002": [("car", (3, 3, 9, 9))]}, "trainval"),
    }
    for part, (items, split) in pictures.items():
        root = make_voc(items, folder=f"made/{part}")
        lists = root / "ImageSets" / "Main"
        names = (lists / "train.txt").read_text().split()
        (lists / "train.txt").rename(lists / f"{split}.txt")
        if split == "trainval":
            (lists / "train.txt").write_text(names[0])
            (lists / "val.txt").write_text(names[1])
        body = packed(root, f"VOCdevkit/VOC{part[:4]}")
        server.files[f"{part}.tar"] = body
        known = {"url": server.url(f"{part}.tar"), "md5": hashlib.md5(body).hexdigest()}
        facts = torchvision.datasets.voc.DATASET_YEAR_DICT[part]
        monkeypatch.setitem(torchvision.datasets.voc.DATASET_YEAR_DICT, part, {**facts, **known})
    return server


def test_voc2007_is_fetched_split_by_split_and_then_needs_no_network(voc: Server, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    train = open_dataset("voc2007", "trainval", cache)
    assert (train.ids, train.classes) == (["000001", "000002"], VOC_CLASSES)
    assert train.target(0)["labels"].tolist() == [VOC_CLASSES.index("dog") + 1]
    test = open_dataset("voc2007", "test", cache)
    assert test.ids == ["000003"] and test.root == train.root
    assert [name for name, _ in voc.asked] == ["2007.tar", "2007-test.tar"]
    voc.server_close()
    assert [len(open_dataset("voc2007", split, cache)) for split in ("trainval", "train", "val", "test")] == [
        2,
        1,
        1,
        1,
    ]
    assert not list(cache.rglob("*.tar*"))  # neither archives nor parts of them are kept


def test_voc2012_learns_from_train_and_is_measured_on_val(voc: Server, tmp_path: Path) -> None:
    assert open_dataset("voc2012", "trainval", tmp_path).ids == ["2008_000001"]
    assert open_dataset("voc2012", "test", tmp_path).ids == ["2008_000002"]
    assert [name for name, _ in voc.asked] == ["2012.tar"]


def test_voc0712_learns_from_both_years_and_is_measured_on_2007s_test(voc: Server, tmp_path: Path) -> None:
    both = open_dataset("voc0712", "trainval", tmp_path)
    assert both.ids == ["000001", "000002", "2008_000001", "2008_000002"]
    assert [both.image_path(i).stem for i in range(len(both))] == both.ids
    names = [VOC_CLASSES[both.target(i)["labels"][0] - 1] for i in range(len(both))]
    assert names == ["dog", "cat", "person", "car"]
    image, target = both[2]
    assert image.shape == (3, 30, 40) and target["boxes"].tolist() == [[2, 2, 13, 13]]
    with pytest.raises(IndexError):
        both[4]
    assert open_dataset("voc0712", "test", tmp_path).ids == ["000003"]
    assert open_dataset("voc0712", "val", tmp_path).ids == ["000002", "2008_000002"]


def test_the_whole_path_from_the_command_line(voc: Server, tmp_path: Path) -> None:
    """Fetch, train, fetch the test pictures, evaluate; and again without a network."""

    def run(app: typer.Typer, *arguments: object) -> str:
        options = ["--data", "voc2007", "--cache", tmp_path / "cache"]
        result = CliRunner().invoke(app, [str(argument) for argument in (*arguments, *options)])
        assert result.exit_code == 0, result.output
        return result.output

    model = tmp_path / "fast.safetensors"
    small = ["--backbone", "resnet18", "--weights", "none", "--steps", 1, "--proposals", 20]
    run(train.app, "fast_rcnn", "-o", model, *small)
    assert [name for name, _ in voc.asked] == ["2007.tar"]
    first = run(evaluate.app, model)
    assert [name for name, _ in voc.asked] == ["2007.tar", "2007-test.tar"]
    assert "dog" in first and "tvmonitor" in first
    voc.server_close()
    assert run(evaluate.app, model) == first


def test_a_failed_download_is_one_line_and_an_exit_code(voc: Server, tmp_path: Path) -> None:
    voc.cut_after = 1000
    result = CliRunner().invoke(train.app, ["fast_rcnn", "--data", "voc2007", "--cache", str(tmp_path)])
    assert result.exit_code == 1
    assert "broke off after 1000 bytes" in " ".join(result.output.split())


def test_an_interrupted_unpacking_is_done_again(voc: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_dataset("voc2007", "trainval", tmp_path)
    assert len(open_dataset("voc2007", "trainval", tmp_path)) == 2
    assert len(voc.asked) == 1  # the archive was there


def test_parts_that_do_not_belong_together_are_refused(make_voc: MakeVOC) -> None:
    from lineage.data.joined import JoinedVOC
    from lineage.data.voc import VOCDataset

    one = VOCDataset(make_voc({"a": [("dog", (1, 1, 9, 9))]}, folder="one"), "train")
    same = VOCDataset(make_voc({"a": [("dog", (1, 1, 9, 9))]}, folder="same"), "train")
    other = VOCDataset(make_voc({"b": [("wolf", (1, 1, 9, 9))]}, folder="other"), "train")
    with pytest.raises(ValueError, match="share names"):
        JoinedVOC([one, same])
    with pytest.raises(ValueError, match="its classes are not those of"):
        JoinedVOC([one, other])
    with pytest.raises(VOCFormatError):
        open_dataset("voc2077", "train", Path("."))
