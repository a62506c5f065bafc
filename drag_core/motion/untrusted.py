"""Reading JSON from an untrusted source: bounded, finite, every field checked, one sentence on failure.

`at` names the field in the sentence, as "regions[3].target".
"""

from __future__ import annotations

import json
import math
from typing import Any

from ..types import DragError, Point

MAX_BYTES, MAX_DEPTH = 10_000_000, 64


def load_json(text: str | bytes) -> Any:
    """Reads JSON from an untrusted source.

    At most 10 MB and 64 levels, finite numbers only; anything else is a DragError.
    """
    if len(text) > MAX_BYTES:
        raise DragError(f"the drag instruction is {len(text)} bytes long; at most {MAX_BYTES} are read")
    try:
        data = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except DragError:
        raise
    except (RecursionError, ValueError) as e:  # also undecodable bytes, and integers of thousands of digits
        raise DragError(f"the drag instruction is not JSON: {e}") from None
    level = [data]
    # what can be read must be writable: json.dumps meets Python's limit before json.loads does
    for _ in range(MAX_DEPTH):
        inner = (x.values() if isinstance(x, dict) else x for x in level if isinstance(x, (dict, list)))
        level = [v for values in inner for v in values if isinstance(v, (dict, list))]
    if level:
        raise DragError(f"the drag instruction is nested more than {MAX_DEPTH} levels deep; make it flatter")
    return data


def _finite(number: str) -> float:
    if not math.isfinite(x := float(number)):
        raise DragError(f"the drag instruction holds {number[:40]}; every number must be finite")
    return x


def read_object(data: Any, at: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise DragError(f"{at} is {short(data)}; it must be an object")
    return data


def read_list(data: Any, at: str, most: int) -> list[Any]:
    if not isinstance(data, list):
        raise DragError(f"{at} is {short(data)}; it must be a list")
    if len(data) > most:
        raise DragError(f"{at} has {len(data)} entries; at most {most} are read")
    return data


def read_number(data: Any, at: str) -> float:
    if (
        type(data) in (int, float) and -1e9 <= data <= 1e9
    ):  # not isinstance: a bool is no number; NaN fails the comparison
        return float(data)
    raise DragError(f"{at} is {short(data)}; it must be a finite number between -1e9 and 1e9")


def read_point(data: Any, at: str) -> Point:
    if not isinstance(data, list) or len(data) != 2:
        raise DragError(f"{at} is {short(data)}; it must be [x, y]")
    return read_number(data[0], at), read_number(data[1], at)


def read_side(data: Any, at: str) -> int:
    n = read_number(data, at)
    if n != int(n) or not 1 <= n <= 65536:
        raise DragError(f"{at} is {short(data)}; it must be a whole number of pixels")
    return int(n)


def read_text(data: Any, at: str) -> str:
    if not isinstance(data, str):
        raise DragError(f"{at} is {short(data)}; it must be text")
    return data


def read_optional(data: Any, at: str, read: Any) -> Any:
    return None if data is None else read(data, at)


def short(data: Any) -> str:
    return f"a {type(data).__name__} of {len(data)}" if isinstance(data, (list, dict)) else repr(data)[:60]
