"""Tests in a process of their own: an answer cannot find them, change them, or be more than the value it is."""

from __future__ import annotations

import contextlib
import multiprocessing

import nbformat
import numpy as np
import pytest
import torch
from test_shown import FIND, JOB, cell, mark

from lineage.course import exchange, tester, values, worker
from lineage.faster_rcnn.recipe import RPNSettings

# Neither the text of the test nor what it expects may come out, whatever an answer does: 31337 stands for both.
TEST = """
### BEGIN HIDDEN TESTS
wanted = 31337
class Counter:
    total = 7
    _own = wanted
def callback(x):
    assert x < 9, f"not {wanted}"
    return x + 1
found = add(torch.tensor([1.0]), callback, Counter())
assert torch.allclose(torch.as_tensor(found), torch.tensor([2.0])) and wanted == 31337, "Is it the sum?"
### END HIDDEN TESTS
"""
TOOLS = nbformat.v4.new_code_cell("import torch", metadata={"nbgrader": {"grade_id": "tools", "locked": True}})
RIGHT = "def add(x, callback, counter):\n    return callback(x)"
LOOKS = {
    "by linecache": "print([code()])",
    "by torch.sys": "print(torch.sys.modules['linecache'].cache)",
    "at the frames below": """
import sys
frame = sys._getframe(0)
while frame:
    print(frame.f_globals, frame.f_locals, frame.f_code.co_consts)
    frame = frame.f_back
""",
    "at every object": """
import gc
secret, found = ''.join(reversed('73313')), []
for one in gc.get_objects():
    if isinstance(one, (dict, list, tuple)):
        parts = list(one.values()) if isinstance(one, dict) else one
        found += [part for part in parts if isinstance(part, str) and secret in part]
print(found)
""",
    "at the function given": """
for name in ('__globals__', '__code__', '__closure__', '__defaults__', '__dict__', '__self__', 'func'):
    try: print(getattr(callback, name))
    except AttributeError as error: print(error)
""",
    "at the object given": """
for name in ('_own', '__class__', '__dict__', '__init__', 'total', 'nothing'):
    try: print(getattr(counter, name))
    except AttributeError as error: print(error)
""",
    "by questions of its own": """
for question in (('attribute', 0, '__globals__'), ('attribute', 0, 'name'), ('attribute', 1, '_own'),
                 ('attribute', 1, '__class__'), ('get', 'wanted'), ('gradients', 0, None), ('call', 9, [(), {}], True)):
    try: print(callback._end.ask(*question))
    except Exception as error: print(error)
""",
    "with what fails there": """
try: callback(10)
except Exception as error: print(repr(error), error.__context__, error.__traceback__.tb_next)
""",
    "in other processes' memory": """
import os, re
for one in os.listdir('/proc'):
    for name in ('mem', 'maps', 'environ', 'cmdline', *(f'fd/{i}' for i in range(20))):
        if one.isdigit() and int(one) != os.getpid():
            try:
                with open(f'/proc/{one}/{name}', 'rb') as file: read = file.read(10**6)
                print(one, name, re.findall(bytes(reversed(b'73313')), read))
            except OSError: pass
""",
}
LIES = {
    "torch.allclose by another name": "t = torch\nt.allclose = lambda *_, **__: True\ndef add(*_): return 5",
    "torch.as_tensor": "torch.as_tensor = lambda x: torch.tensor([2.0])\ndef add(*_): return 5",
    "a tensor that equals all": """
class Same(torch.Tensor):
    def __eq__(self, other): return True
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None): return True
def add(*_): return torch.tensor([5.0]).as_subclass(Same)
""",
    "an object that equals all": "class Same:\n    def __eq__(self, other): return True\ndef add(*_): return Same()",
    "Tensor's own methods": """
for name in ('__eq__', 'tolist', 'double', 'allclose'): setattr(torch.Tensor, name, lambda *_: True)
def add(*_): return torch.tensor([5.0])
""",
    "builtins": "import builtins\nbuiltins.AssertionError = ValueError\nbuiltins.all = any\ndef add(*_): return 5",
    "the line to the tests": """
def add(x, callback, counter):
    for _ in range(3): callback._end.channel.send_bytes(b'{"printed": "", "error": null}')
    return 5
""",
    "the end": "def add(*_): raise SystemExit(0)",
    "a thread that goes on": """
import threading, time
def add(x, callback, counter):
    def later():
        while True:
            time.sleep(0.01)
            torch.allclose = lambda *_, **__: True
    threading.Thread(target=later, daemon=True).start()
    return 5
""",
}


PIPES = """
def add(*_):
    import os
    for number in range(3, 60):
        try:
            if 'pipe' in os.readlink(f'/proc/self/fd/{number}'): os.write(number, b'{"printed": "", "error": null}\\n')
        except OSError: pass
    return 5
"""


def points(answers, test=TEST, job=JOB):
    """Each answer, followed by the test: the notebook as it was run."""
    cells = [TOOLS, cell(FIND)]
    for number, answer in enumerate(answers):
        cells += [cell(answer), cell(test, mark(f"hidden{number}")), cell("print('later')")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    worker.run_apart(notebook, job)
    return notebook


def errors(one):
    return [out.ename for out in one.outputs if out.output_type == "error"]


def test_an_answer_cannot_find_its_tests():
    start = "def add(x, callback, counter):\n    "
    answers = [start + look.strip().replace("\n", "\n    ") + "\n    return callback(x)" for look in LOOKS.values()]
    notebook = points([RIGHT, *answers, PIPES])
    assert errors(notebook.cells[-2])
    for words, test in zip(["right", *LOOKS], notebook.cells[3::3]):
        if words not in ("with what fails there", "by questions of its own"):
            assert errors(test) == [], (words, test.outputs)
        shown = "".join(out.get("text", "") for out in test.outputs)
        assert "31337" not in shown and "Is it" not in shown, words
    assert all("later" in str(one.outputs) and "31337" not in str(one.outputs) for one in notebook.cells[4::3])


@pytest.mark.parametrize("words", LIES)
def test_an_answer_is_the_value_it_hands_over(words):
    assert outcome(LIES[words], TEST)["error"], words


def outcome(answer, test):
    """What comes of a test whose answer is in a process like a kernel."""
    start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["lineage.course.exchange", "lineage.course.worker", "pytest"])
    here, there = start.Pipe()
    process = start.Process(target=_answer, args=(there, answer))
    process.start()
    there.close()
    done = tester.report(tester.Tester("import torch", [test]), "test", test, here)
    with contextlib.suppress(OSError):
        values.send(here, ["test", "enough"], {})
    process.join()
    return done


def _answer(there, answer):
    names = {"torch": torch}
    exec(answer, names)
    exchange.serve(there.fileno(), "test", names)


def through(value):
    """The value as the other side has it."""
    sender = values.Sender(lambda one: ["mine", 0, type(one).__name__], lambda tensor: 7, parts=True)
    packed = sender.pack(value)
    receiver = values.Receiver(sender.tensors, lambda *words: words, lambda tensor, number: (tensor, number), True)
    return receiver.unpack(packed)


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -(10**40), 0.1, float("inf"), "a\ud800\0", [1, [2.0]], (1, (2,)), {3, 4}, frozenset("a"), {},
     {(1, 2): [3], None: {"a": 1}}, torch.int64, RPNSettings(min_size=3)],
    ids=str,
)  # fmt: skip
def test_data_pass_as_they_are(value):
    found = through(value)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [(), (0, 4), (2, 3)])
def test_tensors_and_arrays_pass(kind, shape):
    value = (torch.rand(shape) * 9).to(kind)
    found = through(value)
    assert torch.equal(found, value) and found.dtype == kind
    if kind != torch.bfloat16:
        found = through(value.numpy())
        assert np.array_equal(found, value.numpy()) and found.dtype == value.numpy().dtype


def test_what_is_handed_over_twice_is_one_there_too():
    box = torch.zeros(1, 4)
    first, second, other = through([box, box, torch.zeros(1, 4)])
    assert first is second and first is not other


@pytest.mark.parametrize(
    "packed",
    [["list"], ["list", 0], ["tensor", 0, "9", None], ["nothing", 0, 1], {"a": 1}, [], ["dtype", "nn"],
     ["dict", 0, [[["list", 1, []], 2]]], ["parts", "os", "system", ["dict", 0, []]], ["generator", 0, "0"]],
    ids=str,
)  # fmt: skip
def test_a_strangers_message_is_a_value_or_refused(packed):
    receiver = values.Receiver({"0": torch.zeros(3)}, lambda *_: None, lambda *_: None, parts=False)
    with pytest.raises(ValueError, match="no value"):
        receiver.unpack(packed)


def test_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(values, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="more than the 1000"):
        values.send(None, ["x" * 1000], {})


def test_gradients_and_changes_and_chance_pass():
    test = """
x = torch.linspace(-2, 2, 6, dtype=torch.float64).requires_grad_()
def double(y): return 2 * y
found = power(x, double)
assert torch.equal(*torch.autograd.grad(found, x, torch.ones(6).double()), 24 * x.detach() ** 2)
given, source = [torch.zeros(2)], torch.Generator().manual_seed(0)
first, second = draw(given, source), draw(given, source)
assert given[0].tolist() == [2, 2] and given[1:] == [1, 1] and first != second
"""
    answer = """
def power(x, double): return double(x) ** 3
def draw(given, source):
    given[0] += 1
    given.append(1)
    return float(torch.rand((), generator=source))
"""
    assert outcome(answer, test)["error"] is None


def test_an_error_says_where_in_the_answer_it_was():
    name, message, where = outcome("def add(*_):\n    return [][7]", TEST)["error"]
    assert (name, message) == ("IndexError", "list index out of range")
    assert "found = add(" in where and "in add" in where
    assert str(exchange.__file__) not in where


def test_an_answer_that_never_ends_or_ends_python_fails_its_test_alone():
    loops = "def add(*_):\n    while True: pass"
    notebook = points([loops, RIGHT, "def add(*_):\n    import os\n    os._exit(0)"], job={**JOB, "seconds_a_cell": 5})
    assert [errors(test) for test in notebook.cells[3::3]] == [["TooLong"], [], ["NotRun"]]
