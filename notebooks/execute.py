"""Run the notebooks and compare what they say now with what is committed, or write it down.

    python notebooks/execute.py            # all; not zero if one fails or is stale
    python notebooks/execute.py 02 03      # some
    python notebooks/execute.py --write    # keep what they say

A cell with the tag "measured" shows times or what a training gave, which differ from machine to
machine: of it only the kinds of its outputs are compared. Everything else has to come out the
same, numbers to a thousandth.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
WIDGETS = "application/vnd.jupyter.widget-view+json"
SECONDS_A_CELL = 600
NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")
TOLERANCE = 1e-3  # of numbers in text
GREY_LEVELS = 12.0  # of 255: how far a picture's thumbnail may differ on average
Cell = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("numbers", nargs="*", help="01, 02, ...; default: all")
    parser.add_argument("--write", action="store_true", help="write the outputs into the files")
    arguments = parser.parse_args()
    from nbclient.exceptions import CellExecutionError

    failures = []
    for path in sorted(FOLDER.glob("*.ipynb")):
        if arguments.numbers and path.name[:2] not in arguments.numbers:
            continue
        start = time.perf_counter()
        committed = json.loads(path.read_text(encoding="utf-8"))
        try:
            fresh = execute(path)
        except CellExecutionError as error:
            failures.append(f"{path.name}: {error}")
            continue
        print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)
        if arguments.write:
            path.write_text(as_text(fresh), encoding="utf-8")
        else:
            failures += [f"{path.name}: {line}" for line in differences(committed, fresh)]
    for line in failures:
        print(line, file=sys.stderr)
    if failures:
        print(
            "stale: run `python notebooks/execute.py --write`, look at every page, commit",
            file=sys.stderr,
        )
    return 1 if failures else 0


def execute(path: Path) -> dict[str, Any]:
    """A notebook after all its cells ran in a new kernel, without what is this run's alone.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=SECONDS_A_CELL,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()
    return cleaned(json.loads(nbformat.writes(notebook)))


def cleaned(notebook: dict[str, Any]) -> dict[str, Any]:
    """Without timestamps, machine's versions and live widgets (their static pictures stay)."""
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    names: set[str] = set()
    for cell in notebook["cells"]:
        cell["id"] = _name(cell, names)
        cell["metadata"] = {
            key: value for key, value in cell["metadata"].items() if key == "tags"
        }
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop(WIDGETS, None)
            output.get("metadata", {}).clear()
        if "outputs" in cell:
            cell["outputs"] = _joined(cell["outputs"])
    return notebook


def _joined(outputs: list[dict]) -> list[dict]:
    """What is printed in a row is one output; a kernel cuts it wherever its buffer ends."""
    joined: list[dict] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output["output_type"] == "stream" and output["name"] == last.get("name"):
            text = "".join(last["text"]) + "".join(output["text"])
            last["text"] = text.splitlines(keepends=True)
        else:
            joined.append(output)
    return joined


def _name(cell: Cell, taken: set[str]) -> str:
    """An id that changes with the cell's source only."""
    digest = hashlib.sha256("".join(cell["source"]).encode()).hexdigest()
    name = next(digest[:length] for length in range(8, 64) if digest[:length] not in taken)
    taken.add(name)
    return name


def as_text(notebook: dict[str, Any]) -> str:
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


# ---- what is stale --------------------------------------------------------------------------


def differences(committed: dict[str, Any], fresh: dict[str, Any]) -> list[str]:
    """One line for each cell whose committed outputs are not what the cell says now."""
    found = []
    for number, (old, new) in enumerate(zip(committed["cells"], fresh["cells"], strict=True)):
        if new["cell_type"] != "code":
            continue
        why = _outputs_differ(
            old["outputs"], new["outputs"], "measured" in new["metadata"].get("tags", ())
        )
        if why:
            first = "".join(new["source"]).strip().split("\n")[0]
            found.append(f"cell {number} ({first[:60]}): {why}")
    return found


def _outputs_differ(old: list[dict], new: list[dict], measured: bool) -> str | None:
    noise = next((_text(output) for output in new if output.get("name") == "stderr"), None)
    if noise is not None:
        return f"writes to stderr: {noise.strip()[:200]}"
    kinds = [_kinds(outputs) for outputs in (old, new)]
    if kinds[0] != kinds[1]:
        return f"committed outputs are {kinds[0]}, now they are {kinds[1]}"
    if measured:
        return None
    for before, after in zip(old, new):
        if not same_text(_text(before), _text(after)):
            return (
                f"committed {_text(before).strip()[:200]!r}, now {_text(after).strip()[:200]!r}"
            )
        if _picture(after) is not None and not same_picture(
            str(_picture(before)), str(_picture(after))
        ):
            return f"another picture: {_text(after).strip()[:100]!r}"
    return None


def _kinds(outputs: list[dict]) -> list[str]:
    """What kind each output is. A picture is a picture, as PNG or as JPEG."""
    kinds = []
    for output in outputs:
        names = sorted(
            {"image" if kind.startswith("image/") else kind for kind in output.get("data", {})}
        )
        kinds.append(output.get("name") or " + ".join(names) or output["output_type"])
    return kinds


def _text(output: dict) -> str:
    text = output.get("text", output.get("data", {}).get("text/plain", ""))
    return text if isinstance(text, str) else "".join(text)


def _picture(output: dict) -> str | None:
    """Its picture in base64, whatever the encoding."""
    return next(
        (data for kind, data in output.get("data", {}).items() if kind.startswith("image/")),
        None,
    )


def same_text(old: str, new: str) -> bool:
    """The same words, and numbers that agree to a thousandth."""
    if NUMBER.split(" ".join(old.split())) != NUMBER.split(" ".join(new.split())):
        return False
    return all(map(_same_number, NUMBER.findall(old), NUMBER.findall(new)))


def _same_number(old: str, new: str) -> bool:
    try:
        a, b = (float(number.replace(",", "")) for number in (old, new))
    except ValueError:  # a version, 2.4.1
        return old == new
    return abs(a - b) <= TOLERANCE * max(abs(a), abs(b), 1e-6)


def same_picture(old: str, new: str) -> bool:
    """The same size, and much the same to the eye."""
    import numpy as np
    from PIL import Image

    images = [
        Image.open(io.BytesIO(base64.b64decode(data))).convert("L") for data in (old, new)
    ]
    if images[0].size != images[1].size:
        return False
    small = [np.asarray(image.resize((64, 64)), dtype=float) for image in images]
    return bool(np.abs(small[0] - small[1]).mean() <= GREY_LEVELS)


if __name__ == "__main__":
    sys.exit(main())
