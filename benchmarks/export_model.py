"""python benchmarks/export_model.py CHECKPOINT...: into models/, in half precision, for people to detect with.

What a checkpoint says of itself goes along; how well it does is measured from what lies there, by
``python -m lineage.bench --pretrained``, whose results ``models/README.md`` is written from (update_readme.py).

``python benchmarks/export_model.py --tiny`` pre-trains tiny as ``python -m lineage.bench --pretrain`` does, and puts
its weights there, in full precision: what the default run starts from.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from lineage.bench.circumstances import circumstances
from lineage.common.checkpoint import load_checkpoint, save_checkpoint
from lineage.data.voc import VOC_CLASSES
from lineage.experiments.options import make_experiment
from lineage.experiments.pretrained import FOLDER
from lineage.experiments.pretraining import pretrained_backbone

LARGEST = 15_000_000  # bytes: what a clone may be asked to carry, a detector
DROPPED = ("curves", "steps_done")  # of the facts: a megabyte of losses


def in_half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every float in half precision.

    Raises:
        ValueError: a number is beyond its range, naming the tensor.
    """
    small = {}
    for name, tensor in state.items():
        small[name] = tensor.half() if tensor.is_floating_point() else tensor
        if not torch.isfinite(small[name].float()).all():
            raise ValueError(f"{name}: {tensor.abs().max():g} is beyond half precision")
    return small


def export_tiny() -> None:
    """Write ``models/tiny-0.safetensors``."""
    with tempfile.TemporaryDirectory() as folder:
        experiment = make_experiment(
            data="shapes", backbone="tiny", weights="none", recipe="quick", device="cpu", procedure=None,
            cache=Path(folder), pretrain_here=True,
        )  # fmt: skip
        pretrained_backbone(experiment, 0, print)
        (path,) = Path(folder).glob("models/tiny-*.safetensors")
        state, facts = load_checkpoint(path)
    save_checkpoint(
        FOLDER / "tiny-0.safetensors", state,
        {**facts, **circumstances("python benchmarks/export_model.py", torch.device("cpu"))},
    )  # fmt: skip


def main() -> int:
    """Write each checkpoint as ``models/voc2007-GENERATION.safetensors``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="*", type=Path)
    parser.add_argument("--tiny", action="store_true", help="pre-train tiny, and write its weights")
    parser.add_argument("--facts", nargs="*", default=[], metavar="NAME=VALUE", help="what else is known of them")
    arguments = parser.parse_args()
    if arguments.tiny:
        export_tiny()
    for path in arguments.checkpoints:
        state, facts = load_checkpoint(path, {"classes": list(VOC_CLASSES)})
        facts = {name: value for name, value in facts.items() if name not in DROPPED}
        for text in arguments.facts:
            name, _, value = text.partition("=")
            facts[name] = int(value) if value.isdecimal() else value
        facts["data"] = "VOC2007 trainval"  # not where it lay on somebody's disk
        half = in_half(state)
        size = sum(tensor.nbytes for tensor in half.values())
        if size > LARGEST:
            raise ValueError(f"{path}: {size / 1e6:.1f} MB in half precision, and {LARGEST / 1e6:.0f} is the most")
        out = FOLDER / f"voc2007-{facts['generation']}.safetensors"
        save_checkpoint(out, half, facts)
        print(f"{out.name}: {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
