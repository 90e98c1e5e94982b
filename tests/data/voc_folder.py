"""Annotations as text."""

from __future__ import annotations

Item = tuple[str, tuple[float, float, float, float]]  # class, (xmin, ymin, xmax, ymax) as VOC counts


def annotation(items: list[Item], width: int = 40, height: int = 30, extra: str = "") -> str:
    """An annotation's XML. ``extra`` goes into every object."""
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    objects = "".join(
        f"<object><name>{name}</name>{extra}<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for name, box in items
    )
    return f"<annotation>{size}{objects}</annotation>"
