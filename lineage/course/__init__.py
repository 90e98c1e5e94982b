"""Coursework: the reader's own functions in the place of the package's."""

from lineage.course.swap import SWAPPABLE, using

__all__ = ["SWAPPABLE", "using"]
