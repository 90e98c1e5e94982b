"""Values that pass between an answer and its tests: data, never code.

Numbers, texts, the built-in containers, tensors and arrays go as they are; a function or any other object stays with
the side that made it, and the other gets a number to ask for it by. What arrives is therefore of one of Python's,
torch's or numpy's own types, whatever the sender made of it.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import struct
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save

MOST_BYTES = 2**27  # of one message
SEQUENCES: dict[str, Callable[[list], Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
LENGTH = struct.Struct(">Q")


def send(channel: Connection, message: list[Any], tensors: dict[str, torch.Tensor]) -> None:
    """One message: JSON, and its tensors as safetensors.

    Raises:
        ValueError: it is larger than allowed.
    """
    text = json.dumps(message).encode()
    body = LENGTH.pack(len(text)) + text + (save(tensors) if tensors else b"")
    if len(body) > MOST_BYTES:
        raise ValueError(f"{len(body)} bytes, more than the {MOST_BYTES} that may be handed over at once")
    channel.send_bytes(body)


def receive(channel: Connection) -> tuple[Any, dict[str, torch.Tensor]]:
    """The next message.

    Raises:
        EOFError, OSError: there is nobody to send one, or it is too large. ValueError: it is none.
    """
    body = channel.recv_bytes(MOST_BYTES)
    try:
        (length,) = LENGTH.unpack_from(body)
        start = LENGTH.size + length
        return json.loads(body[LENGTH.size : start]), load(body[start:]) if len(body) > start else {}
    except Exception as error:  # of whatever a stranger has sent
        raise ValueError(f"no message: {type(error).__name__}") from None


class Sender:
    """Makes one message of values.

    Args:
        name_object: gives an object that stays here the words by which the other side knows it.
        name_tensor: the number of a tensor through which gradients shall pass.
        parts: dataclasses of the package go in parts, and are put together by the other side.
    """

    def __init__(
        self, name_object: Callable[[Any], Any], name_tensor: Callable[[torch.Tensor], int | None], parts: bool
    ) -> None:
        self.name_object, self.name_tensor, self.parts = name_object, name_tensor, parts
        self.tensors: dict[str, torch.Tensor] = {}
        self.held: list[Any] = []  # each by its number
        self.known: dict[int, int] = {}

    def pack(self, value: Any) -> Any:
        """What JSON can say of it; its tensors are kept in ``tensors``."""
        if value is None or isinstance(value, (bool, str)):
            return value if value is None or isinstance(value, bool) else str.__str__(value)
        if isinstance(value, (int, float)):
            return int(value) if isinstance(value, int) else float(value)
        if isinstance(value, torch.Tensor):
            grad = self.name_tensor(value) if value.requires_grad else None
            return ["tensor", self._number(value), self._keep(value.detach()), grad]
        if isinstance(value, (np.ndarray, np.generic)):
            return ["array", self._number(value), self._keep(torch.from_numpy(np.array(value)))]
        if isinstance(value, torch.Generator):
            return ["generator", self._number(value), self._keep(value.get_state())]
        for name, kind in (("list", list), ("tuple", tuple), ("set", set), ("frozenset", frozenset)):
            if isinstance(value, kind):
                return [name, self._number(value), [self.pack(one) for one in value]]
        if isinstance(value, dict):
            return ["dict", self._number(value), [[self.pack(key), self.pack(one)] for key, one in value.items()]]
        if isinstance(value, (Iterator, range)):
            return self.pack(list(value))
        if isinstance(value, torch.dtype):
            return ["dtype", str(value).removeprefix("torch.")]
        if self.parts and dataclasses.is_dataclass(value) and type(value).__module__.startswith("lineage."):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return ["parts", type(value).__module__, type(value).__qualname__, self.pack(fields)]
        return ["object", *self.name_object(value)]

    def _keep(self, tensor: torch.Tensor) -> str:
        name = str(len(self.tensors))
        self.tensors[name] = tensor.as_subclass(torch.Tensor).cpu().clone(memory_format=torch.contiguous_format)
        return name

    def _number(self, value: Any) -> int:
        """The same for the same object: what is handed over twice is one on the other side, too."""
        number = self.known.setdefault(id(value), len(self.held))
        if number == len(self.held):
            self.held.append(value)  # so that no other object gets its id
        return number


class Receiver:
    """Makes values of one message.

    Args:
        find_object: gives what stands for an object of the other side, or one of this side's own.
        with_gradient: gives a tensor through which gradients pass, from its numbers and its number.
        parts: dataclasses of the package may come; the sender can be trusted.
    Raises:
        ValueError: from :meth:`unpack`; what came is nothing that :class:`Sender` makes.
    """

    def __init__(
        self,
        tensors: dict[str, torch.Tensor],
        find_object: Callable[..., Any],
        with_gradient: Callable[[torch.Tensor, int], torch.Tensor],
        parts: bool,
    ) -> None:
        self.tensors, self.find_object, self.with_gradient, self.parts = tensors, find_object, with_gradient, parts
        self.made: dict[int, Any] = {}

    def unpack(self, packed: Any) -> Any:
        """The value."""
        try:
            return self._unpack(packed)
        except Exception as error:
            raise ValueError(f"no value: {type(error).__name__}") from None

    def _unpack(self, packed: Any) -> Any:
        if not isinstance(packed, list):
            if isinstance(packed, dict):
                raise TypeError("a dict")
            return packed
        kind, *rest = packed
        if kind == "object":
            return self.find_object(*rest)
        if kind == "dtype":
            return _dtype(rest[0])
        if kind == "parts" and self.parts:
            module, name, fields = rest
            return getattr(importlib.import_module(module), name)(**self._unpack(fields))
        number, content = rest[:2]
        if number not in self.made:
            self.made[number] = self._fresh(kind, content, rest[2:])
        return self.made[number]

    def _fresh(self, kind: str, content: Any, rest: list[Any]) -> Any:
        if kind in SEQUENCES:
            return SEQUENCES[kind]([self._unpack(one) for one in content])
        if kind == "dict":
            return {self._unpack(key): self._unpack(one) for key, one in content}
        tensor = self.tensors[content]
        if kind == "tensor":
            return tensor if rest[0] is None else self.with_gradient(tensor, rest[0])
        if kind == "array":
            return tensor.numpy() if tensor.dim() else tensor.numpy()[()]
        if kind == "generator":
            generator = torch.Generator()
            generator.set_state(tensor)
            return generator
        raise TypeError(kind)


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name)
    if not isinstance(found, torch.dtype):
        raise TypeError(name)
    return found


def assume(old: Any, new: Any) -> Any:
    """What was lent, as the borrower has left it: where that can be, the same object with its content.

    Args:
        old: what was lent. new: what came back.
    """
    if type(old) is not type(new) and not isinstance(old, torch.Tensor):
        return new
    if isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor):
        if old.shape != new.shape or old.dtype != new.dtype:
            old.data = new
        elif _bits(old) != _bits(new):
            with torch.no_grad():
                old.copy_(new)
        return old
    if isinstance(old, np.ndarray):
        if old.shape == new.shape and old.tobytes() != new.tobytes():
            old[...] = new
        return old
    if isinstance(old, torch.Generator):
        old.set_state(new.get_state())
        return old
    if isinstance(old, (list, tuple)):
        parts = [assume(*pair) for pair in zip(old, new)] + list(new[len(old) :])
        if isinstance(old, list):
            old[:] = parts[: len(new)]
        return old
    if isinstance(old, dict):
        entries = {key: assume(old[key], value) if key in old else value for key, value in new.items()}
        old.clear()
        old.update(entries)
        return old
    return new


def _bits(tensor: torch.Tensor) -> bytes:
    """Bit by bit: nan is nan."""
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
