"""Tables that a command puts into the README, between two comments that name the command."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
END = "<!-- end -->"


def put(command: str, lines: Iterable[str], path: Path = README) -> None:
    """Replaces what stands between the comment of `command` and the next end by `lines`."""
    mark = f"<!-- {command} -->"
    before, rest = path.read_text(encoding="utf-8").split(mark)
    after = rest.split(END, 1)[1]
    path.write_text(f"{before}{mark}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")
