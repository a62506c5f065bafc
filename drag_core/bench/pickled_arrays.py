"""numpy's arrays of numbers as pickles spell them: told by the names that they ask for, made by us."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..types import DragError

MOST = 1 << 26  # of one side
NUMBERS = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
CORES = ("numpy.core", "numpy._core")
ARRAY, SCALAR, BUFFER = "array", "scalar", "buffer"
KNOWN = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    **{(f"{core}.multiarray", "_reconstruct"): ARRAY for core in CORES},
    **{(f"{core}.multiarray", "scalar"): SCALAR for core in CORES},
    **{(f"{core}.numeric", "_frombuffer"): BUFFER for core in CORES},
    **{(m, t): t for m in ("builtins", "__builtin__") for t in ("bytes", "bytearray")},
}


@dataclass(frozen=True)
class Name:
    """One of the names in KNOWN: told, never looked up."""

    what: str


@dataclass
class Dtype:
    code: str


@dataclass
class Array:
    """An array whose content comes with a BUILD."""

    data: np.ndarray | None = None


def whole(x: Array) -> np.ndarray:
    if x.data is None:
        raise DragError("the pickle holds an array without content")
    return x.data


def array_of(x: Any) -> np.ndarray | None:
    """Returns the array that a value of read_plain() is; None where it is none."""
    if isinstance(x, Array):
        return whole(x)
    return x if isinstance(x, np.ndarray) else None


def _dtype(code: Any, *_: Any) -> Dtype:
    code = code.decode("latin1") if isinstance(code, bytes) else code
    if not isinstance(code, str) or not NUMBERS.fullmatch(code):
        raise DragError(f"the pickle has an array of {str(code)[:40]!r}; numbers are read")
    return Dtype(code)


def make_array(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    if not isinstance(dtype, Dtype) or not isinstance(raw, (bytes, bytearray)) or order not in ("C", "F"):
        raise DragError("the pickle has an array that does not consist of numbers")
    sides = shape if type(shape) is tuple else (shape,)
    if len(sides) > 4 or not all(type(n) is int and 0 <= n <= MOST for n in sides):
        raise DragError(f"the pickle has an array of shape {str(shape)[:60]}")
    kind = np.dtype(dtype.code)
    if math.prod(sides) * kind.itemsize != len(raw):
        raise DragError(f"the pickle has {len(raw)} bytes for an array of shape {str(shape)[:60]}")
    return np.frombuffer(bytes(raw), kind).reshape(sides, order=order).copy()


def _reconstruct(kind: Any, *_: Any) -> Array:
    if kind != Name("ndarray"):
        raise DragError("the pickle makes an array of a class of its own: it is not read")
    return Array()


def _scalar(dtype: Any, raw: Any) -> Any:
    return make_array(raw, dtype, (1,), "C")[0].item()


def _encode(text: Any, codec: Any = "latin1") -> bytes:
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise DragError("the pickle encodes something that is no text")
    return text.encode("latin1")


def _bytes(content: Any = b"", *codec: Any) -> bytes:
    if isinstance(content, str):
        return _encode(content, *codec)
    if not isinstance(content, (bytes, bytearray)):
        raise DragError("the pickle makes bytes of something that is none: it is not read")
    return bytes(content)


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> Array:
    return Array(make_array(raw, dtype, shape, order))


CALLS: dict[str, Callable[..., Any]] = {
    "dtype": _dtype,
    "encode": _encode,
    "bytes": _bytes,
    "bytearray": _bytes,
    ARRAY: _reconstruct,
    SCALAR: _scalar,
    BUFFER: _from_buffer,
}
