"""Selective search: Uijlings, van de Sande, Gevers, Smeulders. IJCV 2013. Importing it loads numba."""

from lineage.selective_search.grouping import Hierarchy, group
from lineage.selective_search.recall import best_overlaps, mean_best_overlap, recall, recall_at
from lineage.selective_search.search import selective_search
from lineage.selective_search.segmentation import segment
from lineage.selective_search.strategies import FAST, QUALITY, QUICK, Strategy
from lineage.selective_search.windows import count_all_windows, sliding_windows

__all__ = [
    "FAST",
    "QUALITY",
    "QUICK",
    "Hierarchy",
    "Strategy",
    "best_overlaps",
    "count_all_windows",
    "group",
    "mean_best_overlap",
    "recall",
    "recall_at",
    "segment",
    "selective_search",
    "sliding_windows",
]
