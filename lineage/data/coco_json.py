"""A COCO ground truth as a document: its lists, its ids, its categories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lineage.common.text_files import read_json
from lineage.common.values import shown
from lineage.data.mistakes import FormatError, Mistakes
from lineage.data.records import class_names

Id = int | str
Entry = dict[str, Any]
LISTS = ("images", "annotations", "categories")


class Category(NamedTuple):
    """A class by its number's owner."""

    name: str
    above: Any  # supercategory


def load(file: Path) -> dict[str, Any]:
    """The document, with its three lists.

    Raises:
        FormatError: not JSON, or no ground truth.
    """
    document = read_json(file, FormatError)
    if isinstance(document, list):
        raise FormatError(f"{file}: is a list, as COCO results are; a ground truth has {', '.join(LISTS)}")
    if not isinstance(document, dict):
        raise FormatError(f"{file}: is {shown(document)}, not an object with {', '.join(LISTS)}")
    for field in LISTS:
        if not isinstance(document.get(field), list):
            raise FormatError(f"{file}: {field} is {shown(document.get(field))}, not a list: no COCO ground truth")
    return document


def by_id(entries: list[Any], where: str, mistakes: Mistakes) -> dict[Id, tuple[str, Entry]]:
    """id -> (where it stands, the entry), in the list's order."""
    found: dict[Id, tuple[str, Entry]] = {}
    for number, entry in enumerate(entries):
        here = f"{where}[{number}]"
        if not isinstance(entry, dict):
            mistakes.add(f"{here}: is {shown(entry)}, not an object with an id")
        elif not is_id(entry.get("id")):
            mistakes.add(f"{here}: id is {shown(entry.get('id'))}, not a whole number")
        elif entry["id"] in found:
            mistakes.add(f"{here}: id {shown(entry['id'])} is there twice, first at {found[entry['id']][0]}")
        else:
            found[entry["id"]] = (f"{here} (id {shown(entry['id'])})", entry)
    return found


def is_id(value: Any) -> bool:
    """Whole numbers, as COCO has them, or texts, as some tools do."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def read_categories(document: Mapping[str, Any], where: str, mistakes: Mistakes) -> dict[Id, Category]:
    """The categories in the order of their ids, in which labels are counted everywhere."""
    found = by_id(document["categories"], f"{where}: categories", mistakes)
    entries = [entry for _, entry in found.values()]
    names = class_names([entry.get("name") for entry in entries], f"{where}: categories", mistakes)
    categories = {number: Category(name, e.get("supercategory")) for number, name, e in zip(found, names, entries)}
    return dict(sorted(categories.items(), key=lambda item: (isinstance(item[0], str), item[0])))


def read_numbers(file: Path) -> tuple[dict[Id, str], dict[Id, str]]:
    """A ground truth's (image id -> file name, category id -> class), without looking for the pictures.

    Raises:
        FormatError: it is no ground truth, or an id is there twice.
    """
    mistakes, document = Mistakes(file), load(file)
    images = by_id(document["images"], f"{file.name}: images", mistakes)
    categories = read_categories(document, file.name, mistakes)
    mistakes.finish()
    names = {number: str(image.get("file_name", "")) for number, (_, image) in images.items()}
    return names, {number: category.name for number, category in categories.items()}
