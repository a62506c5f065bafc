"""What long runs have found so far: a file with a line of JSON for each part that is done."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..pictures.files import write_text

Record = dict[str, Any]


def read(file: Path) -> list[Record]:
    """Reads what earlier runs finished; a line cut off by a stop is left out."""
    out = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        try:
            out.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return out


def append(file: Path, record: Record) -> str:
    """Adds a line in one write, on the disk when this returns, and returns it."""
    line = json.dumps(record)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab+", buffering=0) as out:
        cut = False
        if out.seek(0, os.SEEK_END):
            out.seek(-1, os.SEEK_END)
            cut = out.read(1) != b"\n"  # a stop left half a line, which must not swallow this one
        out.write((("\n" if cut else "") + line + "\n").encode())
        os.fsync(out.fileno())
    return line


def rewrite(file: Path, records: Sequence[Record]) -> None:
    """Puts these records in the file's place, whole or not at all."""
    write_text(file, "".join(json.dumps(r) + "\n" for r in records))
