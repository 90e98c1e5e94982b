"""Selective search: Uijlings, van de Sande, Gevers, Smeulders. IJCV 2013. Importing it loads numba."""

from lineage.selective_search.grouping import Hierarchy, group
from lineage.selective_search.search import selective_search
from lineage.selective_search.segmentation import segment
from lineage.selective_search.strategies import FAST, QUALITY, QUICK, Strategy

__all__ = ["FAST", "QUALITY", "QUICK", "Hierarchy", "Strategy", "group", "segment", "selective_search"]
