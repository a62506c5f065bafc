"""Plain data out of pickled files, as those of DragBench, without running any of them.

The opcodes are taken from `pickletools.genops`, which only decodes them, and are put together here:
containers, numbers, text, bytes, and numpy's arrays of numbers, which are told by name and made by us. A
pickle that asks for anything else is refused: nothing is imported or called that a file names.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any

from ..types import DragError
from .pickled_arrays import CALLS, KNOWN, Array, Dtype, Name, make_array, whole

MAX_BYTES = 64 << 20
MAX_STEPS = 12_000_000  # opcodes: a region of 1000x1000 pixels as pairs of lists
VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


class _Mark:
    pass


def read_plain(data: bytes) -> Any:
    """Reads a pickle of protocol 0 to 5 into dicts, lists, tuples, numbers, text, bytes and numpy arrays.

    Raises DragError for one that asks for more, is cut off, or is longer than 64 MB. What comes back may hold
    the same list twice, or itself: walk it with a bound.
    """
    if len(data) > MAX_BYTES:
        raise DragError(f"the pickle is {len(data)} bytes long; at most {MAX_BYTES} are read")
    machine = _Machine()
    try:
        for steps, (code, argument, _) in enumerate(pickletools.genops(data)):
            if steps > MAX_STEPS:
                raise DragError(f"the pickle has more than {MAX_STEPS} steps; it is not read")
            if code.name == "STOP":
                return _finished(machine.pop())
            machine.step(code.name, argument)
    except DragError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as e:
        raise DragError(f"the pickle is broken: {str(e)[:100] or type(e).__name__}") from None
    raise DragError("the pickle is broken: it ends too early")


def _finished(x: Any) -> Any:
    if isinstance(x, Array):
        return whole(x)
    if isinstance(x, (Name, Dtype, _Mark)):
        raise DragError("the pickle holds no plain data")
    return x


class _Machine:
    """The stack and the memo of a pickle; every opcode that is not named in here is refused."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        return self.stack.pop()

    def to_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while not isinstance(self.stack[at], _Mark):
            at -= 1
            if at < 0:
                raise DragError("the pickle is broken: a mark is missing")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def step(self, name: str, argument: Any) -> None:
        if name in VALUES:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif (step := STEPS.get(name)) is not None:
            step(self, argument)
        else:
            raise DragError(f"the pickle asks for {name}, which plain data never needs: it is not read")


def _append(m: _Machine, items: list[Any]) -> None:
    if type(m.stack[-1]) is not list:
        raise DragError("the pickle appends to what is no list")
    m.stack[-1] += [x if isinstance(x, Array) else _finished(x) for x in items]


def _set(m: _Machine, items: list[Any]) -> None:
    into = m.stack[-1]
    if type(into) is not dict or len(items) % 2:
        raise DragError("the pickle sets items of what is no dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) not in (str, int):
            raise DragError(f"the pickle has a key of type {type(key).__name__}; text or a number is read")
        into[key] = value


def _global(m: _Machine, argument: Any) -> None:
    module, _, name = argument.partition(" ")
    _name(m, module, name)


def _stack_global(m: _Machine, _: Any) -> None:
    name, module = m.pop(), m.pop()
    _name(m, module, name)


def _name(m: _Machine, module: Any, name: Any) -> None:
    what = KNOWN.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
    if what is None:
        raise DragError(
            f"the pickle asks for {str(module)[:60]}.{str(name)[:60]}, which is code: it is not read"
        )
    m.stack.append(Name(what))


def _reduce(m: _Machine, _: Any) -> None:
    arguments, called = m.pop(), m.pop()
    if not isinstance(called, Name) or type(arguments) is not tuple or called.what not in CALLS:
        raise DragError("the pickle calls something that is no array of numbers: it is not read")
    m.stack.append(CALLS[called.what](*arguments))


def _build(m: _Machine, _: Any) -> None:
    state, made = m.pop(), m.stack[-1]
    if type(state) is not tuple:
        raise DragError("the pickle sets a state that no array has: it is not read")
    if isinstance(made, Dtype):
        order = state[1]
        if order not in ("<", ">", "|", "=") or any(state[2:5]):
            raise DragError("the pickle has a compound type of numbers; plain ones are read")
        made.code = made.code if order == "|" else order + made.code.lstrip("<>|=")
    elif isinstance(made, Array) and made.data is None:
        _, shape, dtype, fortran, raw = state
        made.data = make_array(raw, dtype, shape, "F" if fortran else "C")
    else:
        raise DragError("the pickle sets the state of something that is no array: it is not read")


def _tuple(count: int) -> Callable[[_Machine, Any], None]:
    def make(m: _Machine, _: Any) -> None:
        items = [m.pop() for _ in range(count)]
        m.stack.append(tuple(reversed(items)))

    return make


def _dict(m: _Machine, _: Any) -> None:
    items = m.to_mark()
    m.stack.append({})
    _set(m, items)


def _drop(m: _Machine, _: Any) -> None:
    m.pop()


def _drop_to_mark(m: _Machine, _: Any) -> None:
    m.to_mark()


def _memoize(m: _Machine, argument: Any) -> None:
    m.memo[len(m.memo) if argument is None else int(argument)] = m.stack[-1]


STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    "MARK": lambda m, _: m.stack.append(_Mark()),
    "POP": _drop,
    "POP_MARK": _drop_to_mark,
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "LIST": lambda m, _: m.stack.append(m.to_mark()),
    "DICT": _dict,
    "TUPLE": lambda m, _: m.stack.append(tuple(m.to_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "APPEND": lambda m, _: _append(m, [m.pop()]),
    "APPENDS": lambda m, _: _append(m, m.to_mark()),
    "SETITEM": lambda m, _: _set(m, [m.stack.pop(-2), m.pop()]),
    "SETITEMS": lambda m, _: _set(m, m.to_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _memoize),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, i: m.stack.append(m.memo[int(i)])),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "BUILD": _build,
}
