"""One end of the line between a student's answers and their tests: calls, either way, one inside the other.

Gradients pass, too: a tensor that requires them is a leaf on the side of the answers, and on the side of the tests the
output of a function whose backward asks the answers for theirs.
"""

from __future__ import annotations

import builtins
import os
import traceback
from multiprocessing.connection import Connection
from typing import Any

import torch

from lineage.course.values import Receiver, Sender, assume, receive, send

MOST_TEXT = 20_000  # characters of an error, and of where it happened


class Stopped(BaseException):
    """The other side will not answer any more. No test's ``except Exception`` shall go on after that."""


class There:
    """What stands for a function or an object of the other side."""

    def __init__(self, end: End, number: int, kind: str) -> None:
        self._end, self._number, self._kind = end, number, kind

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._end.call(self._number, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{self._kind!r} object has no attribute {name!r}")
        return self._end.ask("attribute", self._number, name)

    def __repr__(self) -> str:
        return f"<{self._kind}>"


class End:
    """What both ends do.

    Args:
        turn: the test it is about; what an interrupted one has left in the line is dropped.
    """

    trusts = False  # the other side

    def __init__(self, channel: Connection, turn: str) -> None:
        self.channel, self.turn = channel, turn
        self.shown: list[Any] = []  # objects that stay here, each by its number

    def call(self, number: int, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Call a function of the other side."""
        return self.ask("call", number, [args, kwargs], torch.is_grad_enabled())

    def ask(self, what: str, *rest: Any) -> Any:
        """Send a question and serve the other side until its answer comes; the answer's value.

        Raises:
            Stopped: none will come. Exception: what was asked for has failed there.
        """
        lent = rest[1] if what == "call" else None
        sender = self.sender()
        self._send([what, *map(sender.pack, rest)], sender)
        while True:
            kind, *content, receiver = self._receive()
            if kind == "value":
                value, back = map(receiver.unpack, content)
                if back is not None:
                    assume(lent, back)
                return value
            if kind == "error":
                self.failed(*map(receiver.unpack, content))
            self.serve(kind, content, receiver)

    def serve(self, kind: str, content: list[Any], receiver: Receiver) -> None:
        """Do what the other side asks for, and send what comes of it."""
        sender = self.sender()
        try:
            values = [receiver.unpack(one) for one in content]
            found = self.do(kind, *values)
            packed = [sender.pack(found), self.returned(sender, values[1]) if kind == "call" else None]
            self._send(["value", *packed], sender)
        except Exception as error:
            self._send(["error", *self.told(error)], self.sender())

    def do(self, kind: str, *values: Any) -> Any:
        """The value that a question of that kind has."""
        if kind == "call":
            number, (args, kwargs), with_gradients = values
            with torch.set_grad_enabled(with_gradients):
                return self.own(number)(*args, **kwargs)
        raise ValueError(f"not to be asked for: {kind}")

    def own(self, number: int) -> Any:
        if not isinstance(number, int) or not 0 <= number < len(self.shown):
            raise ValueError("no such object")
        return self.shown[number]

    def returned(self, sender: Sender, lent: Any) -> Any:
        """What was lent for a call, to be handed back; None where it stays."""
        return None

    def failed(self, name: str, message: str, where: str) -> None:
        """Raise what stands for an error of the other side."""
        raise NotImplementedError

    def told(self, error: Exception) -> list[str]:
        """Name, message and place of an error, for the other side."""
        raise NotImplementedError

    def sender(self) -> Sender:
        return Sender(self._name_object, self.name_tensor, parts=not self.trusts)

    def name_tensor(self, tensor: torch.Tensor) -> int | None:
        raise NotImplementedError

    def with_gradient(self, tensor: torch.Tensor, number: int) -> torch.Tensor:
        raise NotImplementedError

    def _name_object(self, value: Any) -> list[Any]:
        if isinstance(value, There):
            return ["yours", value._number, ""]
        self.shown.append(value)
        return ["mine", len(self.shown) - 1, type(value).__name__[:100]]

    def _find_object(self, whose: str, number: int, kind: str) -> Any:
        if not isinstance(number, int) or not isinstance(kind, str):
            raise TypeError("not an object's number and kind")
        return self.own(number) if whose == "yours" else There(self, number, kind)

    def _send(self, message: list[Any], sender: Sender) -> None:
        try:
            send(self.channel, [self.turn, *message], sender.tensors)
        except OSError:
            raise Stopped("Python has ended") from None

    def _receive(self) -> list[Any]:
        """The parts of a message, and what makes values of them."""
        try:
            message, tensors = receive(self.channel)
            while isinstance(message, list) and message and message[0] != self.turn:
                message, tensors = receive(self.channel)
        except (OSError, EOFError):
            raise Stopped("Python has ended") from None
        except ValueError as error:
            raise Stopped(str(error)) from None
        if not isinstance(message, list) or len(message) < 2 or not isinstance(message[1], str):
            raise Stopped("no message came")
        if message[1] == "stopped":
            raise Stopped("was interrupted")
        return [*message[1:], Receiver(tensors, self._find_object, self.with_gradient, parts=self.trusts)]


class Tests(End):
    """The end of the tests: whatever comes from the other one is looked at as data."""

    def __init__(self, channel: Connection, turn: str) -> None:
        super().__init__(channel, turn)
        self.sent: list[torch.Tensor] = []  # those through which gradients shall pass
        self.broken: Exception | None = None  # a function of a test's own has failed

    def get(self, name: str) -> Any:
        """What the answers call by that name.

        Raises:
            NameError: nothing.
        """
        return self.ask("get", name)

    def gradients(self, number: int, gradient: torch.Tensor) -> list[torch.Tensor | None]:
        """Of what the answers have sent by that number, with respect to each tensor sent to them."""
        found = self.ask("gradients", number, gradient.detach())
        found = found if isinstance(found, list) else []
        fits = [isinstance(one, torch.Tensor) and one.shape == sent.shape for one, sent in zip(found, self.sent)]
        return [one if fit else None for one, fit in zip(found, fits)] + [None] * (len(self.sent) - len(fits))

    def call(self, number: int, args: tuple, kwargs: dict[str, Any]) -> Any:
        """As everywhere; where a function of the test's own has failed in it, that is the error."""
        self.broken = None
        try:
            return super().call(number, args, kwargs)
        finally:
            if self.broken is not None:
                raise self.broken

    def do(self, kind: str, *values: Any) -> Any:
        try:
            if kind == "attribute":
                return self._attribute(*values)
            return super().do(kind, *values)
        except Exception as error:
            if not isinstance(error, AttributeError) or kind != "attribute":
                self.broken = self.broken or error
            raise

    def _attribute(self, number: int, name: str) -> Any:
        """Of objects only, and of those nothing private: a function leads to its module and its code."""
        owner = self.own(number)
        if callable(owner) or not isinstance(name, str) or name.startswith("_"):
            raise AttributeError(f"no attribute {name!r}")
        return getattr(owner, name)

    def failed(self, name: str, message: str, where: str) -> None:
        raise _error(str(name)[:100], str(message), str(where))

    def told(self, error: Exception) -> list[str]:
        """Nothing that a test says: its own functions' errors stay here."""
        name = type(error).__name__ if isinstance(error, AttributeError) else "RuntimeError"
        return [name, str(error)[:200] if name == "AttributeError" else "a function of the test's has failed", ""]

    def name_tensor(self, tensor: torch.Tensor) -> int:
        self.sent.append(tensor)
        return len(self.sent) - 1

    def with_gradient(self, tensor: torch.Tensor, number: int) -> torch.Tensor:
        with torch.enable_grad():
            return _Passed.apply(self, number, tensor, *self.sent) if self.sent else tensor.requires_grad_()


def way_to(error: BaseException) -> str:
    """A traceback, without what belongs to the line."""
    here = os.path.dirname(__file__)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if os.path.dirname(frame.filename) != here]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(type(error), error)])


def _error(name: str, message: str, where: str) -> Exception:
    """One of Python's own errors, or one that is called like it; ``where`` is for the student's page."""
    kind = getattr(builtins, name, None)
    known = isinstance(kind, type) and issubclass(kind, Exception)
    try:
        error: Exception = kind(message) if known else type(name, (Exception,), {})(message)  # type: ignore[misc]
    except (TypeError, ValueError):  # one that needs more than a message; a name that is none
        error = Exception(message)
    error.where = where  # type: ignore[attr-defined]
    return error


class _Passed(torch.autograd.Function):
    """A tensor of the answers', whose gradient they know."""

    @staticmethod
    def forward(ctx: Any, end: Tests, number: int, value: torch.Tensor, *sent: torch.Tensor) -> torch.Tensor:
        ctx.end, ctx.number, ctx.count = end, number, len(sent)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return None, None, None, *ctx.end.gradients(ctx.number, gradient)[: ctx.count]


class Answers(End):
    """The end of the answers, in the student's own process."""

    trusts = True

    def __init__(self, channel: Connection, turn: str, names: dict[str, Any]) -> None:
        super().__init__(channel, turn)
        self.names = names
        self.leaves: dict[int, torch.Tensor] = {}
        self.found: list[torch.Tensor] = []

    def do(self, kind: str, *values: Any) -> Any:
        if kind == "get":
            (name,) = values
            if name not in self.names:
                raise NameError(f"name {name!r} is not defined")
            return self.names[name]
        if kind == "attribute":
            return getattr(self.own(values[0]), values[1])
        if kind == "gradients":
            number, gradient = values
            leaves = [self.leaves.get(i) for i in range(1 + max(self.leaves, default=-1))]
            there = [leaf for leaf in leaves if leaf is not None]
            parts = iter(torch.autograd.grad(
                self.found[number], there, gradient, retain_graph=True, allow_unused=True
            ))  # fmt: skip
            return [None if leaf is None else next(parts) for leaf in leaves]
        return super().do(kind, *values)

    def returned(self, sender: Sender, lent: Any) -> Any:
        sender.name_tensor = lambda tensor: None  # type: ignore[method-assign]
        return sender.pack(lent)

    def failed(self, name: str, message: str, where: str) -> None:
        raise (AttributeError if name == "AttributeError" else RuntimeError)(message)

    def told(self, error: Exception) -> list[str]:
        return [type(error).__name__, str(error)[:MOST_TEXT], way_to(error)[-MOST_TEXT:]]

    def name_tensor(self, tensor: torch.Tensor) -> int:
        self.found.append(tensor)
        return len(self.found) - 1

    def with_gradient(self, tensor: torch.Tensor, number: int) -> torch.Tensor:
        with torch.enable_grad():
            self.leaves[number] = tensor.requires_grad_()
            return tensor.clone()  # so that it may be changed in place


def serve(number: int, turn: str, names: dict[str, Any]) -> None:
    """Answer a test at the other end of what is open by that number, until it says that it is enough.

    Args:
        names: the student's functions and values.
    """
    end = Answers(Connection(os.dup(number)), turn, names)  # the line stays open for the next test
    try:
        while True:
            kind, *content, receiver = end._receive()
            if kind == "enough":
                return
            end.serve(kind, content, receiver)
    except BaseException:
        send(end.channel, [turn, "stopped"], {})
        raise
    finally:
        end.channel.close()
