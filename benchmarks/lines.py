"""What long runs have found so far: a file with a line of JSON for each part that is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read(file: Path) -> list[dict[str, Any]]:
    """What earlier runs finished; a line cut off by a stop is left out."""
    out = []
    for line in file.read_text().splitlines() if file.is_file() else ():
        try:
            out.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return out


def append(file: Path, record: dict[str, Any]) -> str:
    """The line that was written."""
    line = json.dumps(record)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as out:
        out.write(line + "\n")
    return line
