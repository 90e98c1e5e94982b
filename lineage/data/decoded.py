"""How much memory the decoded pictures of a dataset take, where several processes hold one."""

from __future__ import annotations

from lineage.data.voc import DECODED_BYTES, VOCDataset


def share_memory(dataset: VOCDataset, processes: int) -> None:
    """Let ``dataset`` keep, in this process, no more than its share of what one process alone would keep.

    What a process has decoded before it forked, all of them see, and have once.
    """
    for part in getattr(dataset, "parts", [dataset]):
        part._room = min(part._room, DECODED_BYTES // processes)
