"""The committed notebooks are whole, run, small and not stale; and what they share does what it says."""

from __future__ import annotations

import base64
import copy
import importlib.util
import io
import json
import re
from pathlib import Path

import pytest
import torch

from lineage import notebook, viz

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
MOST_BYTES = 1_500_000


def load_script():
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


execute = load_script()


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def source(cell):
    return "".join(cell["source"])


def code_cells(path):
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def printed(capsys, *arguments, **options):
    notebook.check(*arguments, **options)
    return capsys.readouterr().out.strip()


# ---- the pages --------------------------------------------------------------------------------------


def test_there_are_eight_and_each_names_the_next():
    assert [path.name[:2] for path in PATHS] == [f"{number:02}" for number in range(8)]
    for path, following in zip(PATHS, PATHS[1:]):
        assert f"({following.name})" in source(read(path)["cells"][-1]), path.name


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_every_cell_ran_once_in_order_and_without_complaint(path):
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert all(output["output_type"] != "error" for output in cell["outputs"])
        assert all(output.get("name") != "stderr" for output in cell["outputs"])


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_outputs_belong_to_the_source_beside_them(path):
    """Ids are written with the outputs and hang on the source: editing a cell without running it shows."""
    page = read(path)
    assert [cell["id"] for cell in execute.cleaned(copy.deepcopy(page))["cells"]] == [c["id"] for c in page["cells"]]
    assert execute.as_text(page) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_pages_are_small_and_name_no_machine(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    assert not re.search(r'(?<![\w.:/"])/(?:home|root|tmp|work|Users)/', text)
    assert execute.WIDGETS not in text  # a slider of a kernel that is gone shows an error instead of its picture


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_every_section_asks_and_the_next_cell_checks(path):
    cells = read(path)["cells"]
    asked: dict[str, int] = {}
    section = ""
    for number, cell in enumerate(cells):
        if cell["cell_type"] != "markdown":
            continue
        for part in re.split(r"(?m)^(?=## )", source(cell)):
            section = part.split("\n")[0] if part.startswith("## ") else section
            if re.match(r"## \d", section):
                asked.setdefault(section, 0)
            if "**Predict" in part:
                asked[section] += 1
                answer = source(cells[number + 1])
                assert answer.startswith("guess = ..."), section
                assert re.search(r"notebook\.check\(\s*guess", answer), section
                assert re.search(r"(?m)^ *assert ", answer), section
    assert asked and all(asked.values()), asked


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_figures_come_from_the_package_and_formulas_from_the_papers(path):
    everything = "\n".join(source(cell) for cell in code_cells(path))
    assert "pyplot" not in everything and "plt." not in everything
    assert "viz." in everything


def test_a_page_without_training_says_what_it_says_when_run_again():
    path = next(path for path in PATHS if path.name.startswith("01"))
    assert all("measured" not in cell["metadata"].get("tags", ()) for cell in code_cells(path))
    assert execute.differences(read(path), execute.execute(path)) == []


# ---- what counts as stale ---------------------------------------------------------------------------


def picture(grey=0, size=(40, 30), kind="png"):
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", size, (grey, grey, grey)).save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


def page(*outputs, tags=(), text="x"):
    cell = {"cell_type": "code", "source": [text], "metadata": {"tags": list(tags)}, "outputs": list(outputs)}
    return {"cells": [cell]}


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": [text]}


def shown(kind, data, text="figure"):
    return {"output_type": "display_data", "data": {f"image/{kind}": data, "text/plain": [text]}}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (stream("3 boxes"), stream("4 boxes")),
        (stream("mAP 0.500"), stream("mAP 0.502")),
        (stream("3 boxes"), stream("3 crops")),
        (stream("torch 2.4.1"), stream("torch 2.5.1")),
        (stream("3 boxes"), shown("png", picture())),
        (shown("png", picture()), shown("png", picture(), "another title")),
        (shown("png", picture(0)), shown("png", picture(90))),
        (shown("png", picture()), shown("png", picture(size=(41, 30)))),
        (stream("fine"), stream("fine", "stderr")),
    ],
)
def test_what_changed_is_named(old, new):
    (line,) = execute.differences(page(old), page(new))
    assert line.startswith("cell 0 (x): ")
    assert execute.differences(page(old, stream("more")), page(old)) != []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (stream("mAP 0.5000, 1,000 boxes"), stream("mAP 0.5001, 1,000 boxes")),
        (shown("png", picture(100)), shown("jpeg", picture(104, kind="jpeg"))),
    ],
)
def test_what_no_reader_would_notice_is_not_stale(old, new):
    assert execute.differences(page(old), page(new)) == []


def test_of_a_measured_cell_only_the_kinds_count():
    tags = ["measured"]
    assert execute.differences(page(stream("3 ms"), tags=tags), page(stream("9 ms"), tags=tags)) == []
    assert execute.differences(page(stream("3 ms"), tags=tags), page(tags=tags)) != []
    assert execute.differences(page(stream("3 ms"), tags=tags), page(stream("warning", "stderr"), tags=tags)) != []


def test_cleaning_keeps_the_picture_of_a_slider_and_drops_the_slider():
    output = shown("png", picture())
    output["data"][execute.WIDGETS] = {"model_id": "1"}
    dirty = page(output)
    dirty["metadata"] = {"widgets": {}, "kernelspec": {"name": "mine"}}
    dirty["cells"][0]["metadata"] = {"execution": {"iopub.execute_input": "now"}, "tags": ["measured"]}
    clean = execute.cleaned(dirty)
    assert list(clean["cells"][0]["outputs"][0]["data"]) == ["image/png", "text/plain"]
    assert clean["cells"][0]["metadata"] == {"tags": ["measured"]}
    assert clean["metadata"]["kernelspec"]["name"] == "python3" and "widgets" not in clean["metadata"]


def test_cleaning_joins_what_is_printed_in_a_row():
    outputs = [stream("a\nb"), stream("c\n"), stream("no", "stderr"), shown("png", picture()), stream("d")]
    (cell,) = execute.cleaned(page(*outputs))["cells"]
    texts = ["".join(output.get("text", "")) for output in cell["outputs"]]
    assert texts == ["a\nbc\n", "no", "", "d"]
    assert cell["outputs"][0]["text"] == ["a\n", "bc\n"]


def test_equal_cells_have_ids_of_their_own():
    cells = [{"cell_type": "markdown", "source": ["same"], "metadata": {}} for _ in range(3)]
    assert len({cell["id"] for cell in execute.cleaned({"cells": cells})["cells"]}) == 3


# ---- what the pages share ---------------------------------------------------------------------------


def test_a_guess_is_right_wrong_or_not_made(capsys):
    assert printed(capsys, ..., 1234) == "Answer: 1,234. (Your own guess goes where the dots are.)"
    assert printed(capsys, (1, ...), (1, 2)).startswith("Answer: (1, 2).")
    assert printed(capsys, 1234, 1234) == "Right: 1,234."
    assert printed(capsys, 7, 8) == "You said 7; the answer is 8."
    assert printed(capsys, " Fewer", "fewer") == "Right: fewer."
    assert printed(capsys, True, True) == "Right: True."
    assert printed(capsys, 1, True).startswith("You said 1")
    assert printed(capsys, "0.3", 0.3).startswith("You said 0.3")
    assert printed(capsys, [1, 2.0], (1, 2)) == "Right: (1, 2)."
    assert printed(capsys, (1, 2, 3), (1, 2)).startswith("You said (1, 2, 3)")


def test_a_guess_may_be_near(capsys):
    assert printed(capsys, 0.33, 1 / 3, within=0.02) == "Right: 0.333."
    assert printed(capsys, 0.33, 1 / 3).startswith("You said")
    assert printed(capsys, 90, 100, within=0.05).startswith("You said")


def test_a_slider_carries_the_pictures_for_those_without_one(monkeypatch):
    caught = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: caught.append(bundle))

    def draw(side):
        return viz.draw_boxes(torch.full((3, 40, 60), 0.5), torch.tensor([[0.0, 0, side, side]]), title=f"side {side}")

    notebook.explore(draw, [10, 20, 30], shown=[10, 30], label="side")
    (bundle,) = caught
    assert bundle["text/plain"] == "side 10 | side 30"
    assert execute.WIDGETS in bundle and "image/png" in bundle
    one = notebook._render(draw(10))
    both = notebook._beside([one, one])
    assert both.size == (2 * one.width, one.height)
    assert notebook._beside([one] * 3).height == 2 * one.height  # no wider than a page


def test_moving_the_slider_redraws(monkeypatch):
    import ipywidgets

    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: None)
    made = []
    build = ipywidgets.SelectionSlider
    monkeypatch.setattr(ipywidgets, "SelectionSlider", lambda **options: made.append(build(**options)) or made[-1])
    drawn = []

    def draw(value):
        drawn.append(value)
        return viz.draw_overlap(torch.tensor([0.0, 0, 9, 9]), torch.tensor([value, 0.0, value + 9.0, 9]))

    notebook.explore(draw, [1, 2, 3], shown=[2], label="x")
    made[0].value = 3
    assert drawn == [2, 2, 3]


def test_large_pictures_are_jpeg_and_drawings_png():
    noise = torch.rand(3, 240, 320, generator=torch.Generator().manual_seed(0))
    assert "image/jpeg" in notebook._bundle([viz.draw_boxes(noise, torch.zeros(0, 4))])
    assert "image/png" in notebook._bundle([viz.plot_lines({"a": ([1, 2], [1, 2])}, "x", "y")])


def test_commands_show_what_they_print_and_fail_loudly(capsys):
    import subprocess

    notebook.command("python -c 'print(6 * 7)'")
    assert capsys.readouterr().out == "42\n"
    with pytest.raises(subprocess.CalledProcessError):
        notebook.command("python -c 'print(1 / 0)'")
    assert "ZeroDivisionError" in capsys.readouterr().out


def decorated(function):
    return function


@decorated
def documented(number):
    """One line.

    And more.
    """
    # Why.
    twice = 2 * number
    return twice


class Holder:
    def plain(self):
        return 1


def test_source_shows_head_and_body_alone(capsys):
    notebook.source(documented)
    assert capsys.readouterr().out == "def documented(number):\n    # Why.\n    twice = 2 * number\n    return twice\n"
    notebook.source(Holder.plain)
    assert capsys.readouterr().out == "def plain(self):\n    return 1\n"


def test_start_belongs_in_a_notebook():
    with pytest.raises(RuntimeError, match="first cell"):
        notebook.start()


def test_committed_results_are_found_from_the_pages(monkeypatch):
    monkeypatch.chdir(FOLDER)
    assert notebook.committed("shapes-tiny")["generations"]
    with pytest.raises(FileNotFoundError):
        notebook.committed("nothing")


def test_a_pretrained_backbone_is_fresh_each_time_and_trained_once(monkeypatch, tmp_path):
    monkeypatch.setenv("LINEAGE_CACHE", str(tmp_path))
    first = notebook.pretrained(seed=1, steps=2, pretraining_crops=40)
    (kept,) = tmp_path.glob("models/tiny-*.safetensors")
    written = kept.stat().st_mtime_ns
    again = notebook.pretrained(seed=1, steps=2, pretraining_crops=40)
    assert kept.stat().st_mtime_ns == written
    weight, same = first.conv[0].weight, again.conv[0].weight
    assert torch.equal(weight, same) and weight.data_ptr() != same.data_ptr()
    assert not torch.equal(weight, notebook.pretrained(seed=2, steps=2, pretraining_crops=40).conv[0].weight)
