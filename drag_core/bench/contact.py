"""The contact sheet of a benchmark: one HTML file with every picture in it, to look at and to pass on.

Before, the drag, and what each row drew, sample by sample; above it the table, sorted by a click. All text is
escaped; nothing is fetched from anywhere.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from ..pictures.files import to_bytes, write_text
from ..pictures.overlay import overlay
from ..types import DragError
from .jobs import OK
from .lines import Record
from .rows import NO_EDIT
from .samples import Entry, read_sample
from .sheets import GENERAL
from .summary import cell, coverage, keys_in, rows_in, values

SIDE = 200  # px of a thumbnail's longer side
QUALITY = 85
STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --fault: #c33 }
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; max-width: 2200px }
h1 { font-size: 1.4rem } h2 { font-size: 1rem; margin: 1.6rem 0 .4rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right }
td { white-space: nowrap } th { cursor: pointer; vertical-align: bottom; max-width: 8rem }
th:first-child, td:first-child { text-align: left }
th button { all: unset; cursor: pointer; font-weight: 600 } th button:focus-visible { outline: 2px solid }
th[aria-sort=ascending] button::after { content: " ▲" }
th[aria-sort=descending] button::after { content: " ▼" }
.scroll { overflow-x: auto } .row { display: flex; gap: .6rem; overflow-x: auto; padding-bottom: .4rem }
figure { margin: 0; width: 200px; flex: none } figure img { display: block; max-width: 200px }
figcaption { font-size: 12px; line-height: 1.35; margin-top: .2rem } .number { opacity: .75 }
.fault { color: var(--fault) }
.empty { height: 100px; display: grid; place-items: center; background: var(--soft) }
ul { font-size: 12px; margin: .3rem 0; padding-left: 1.2rem }
"""
# sorts the table by a column: numbers by size, what has none last
SCRIPT = """
for (const button of document.querySelectorAll('th button')) button.addEventListener('click', () => {
  const head = button.parentElement, column = [...head.parentElement.children].indexOf(head)
  const body = head.closest('table').tBodies[0], down = head.getAttribute('aria-sort') === 'ascending'
  for (const other of head.parentElement.children) other.removeAttribute('aria-sort')
  head.setAttribute('aria-sort', down ? 'descending' : 'ascending')
  const of = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent
  const empty = (row) => of(row) === ''
  const order = (a, b) => empty(a) - empty(b) || (down ? -1 : 1) * (
    column ? Number(of(a)) - Number(of(b)) : of(a).localeCompare(of(b)))
  body.append(...[...body.rows].sort(order))
})
"""


def write_contact(path: Path, title: str, listed: Sequence[Entry], records: Sequence[Record]) -> None:
    """Writes the sheet of a run's records; the pictures are those beside the file.

    listed: the samples, of which the pictures before are read again.
    """
    parts = [_head(title), _table(records)]
    for entry in listed:
        parts += _sample(entry, [r for r in records if r["sample"] == entry.id], path.parent)
    parts.append(f"<script>{SCRIPT}</script></body></html>\n")
    write_text(path, "\n".join(parts))


def _head(title: str) -> str:
    name = html.escape(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>\n'
        f"<h1>{name}</h1>\n<p>Means over the samples; <code>{NO_EDIT}</code> is the picture itself. "
        "Click a heading to sort.</p>"
    )


def _table(records: Sequence[Record]) -> str:
    there = keys_in(records)
    rows = rows_in(records)
    keys = [k for k in GENERAL if k in there and any(values(records, row, k) for row in rows)]
    heads = ["row", "whole of samples", *(GENERAL[k][0] for k in keys)]
    lines = ["".join(f'<th scope="col"><button type="button">{html.escape(h)}</button></th>' for h in heads)]
    for row in rows:
        whole, asked = coverage(records, row)
        cells = [f"<td>{html.escape(row)}</td>", f'<td data-value="{whole}">{whole} of {asked}</td>']
        for key in keys:
            mean = cell(records, row, key).mean
            said = "" if math.isnan(mean) else f"{mean:.{GENERAL[key][1]}f}"
            cells.append(f'<td data-value="{"" if math.isnan(mean) else mean}">{said or "–"}</td>')
        lines.append("".join(cells))
    body = "\n".join(f"<tr>{line}</tr>" for line in lines[1:])
    made = f"<table><thead><tr>{lines[0]}</tr></thead><tbody>\n{body}\n</tbody></table>"
    return f'<div class="scroll">{made}</div>'


def _sample(entry: Entry, records: Sequence[Record], folder: Path) -> Iterator[str]:
    """Yields a sample's heading, its pictures, and what was noted."""
    yield f"<section><h2>{html.escape(entry.id)}</h2>"
    try:
        sample = read_sample(entry)
    except DragError as e:
        yield f'<p class="fault">{html.escape(str(e))}</p></section>'
        return
    yield '<div class="row">'
    yield _figure(lambda: sample.image[0], "before")
    yield _figure(lambda: overlay(sample.image[0], sample.task), "drag: source blue, target green")
    first = min((r["base"] for r in records), default=0)
    for record in (r for r in records if r["base"] == first and r["row"] != NO_EDIT):
        yield _edit(record, folder)
    if (case := sample.case) is not None:
        yield _figure(lambda: case.truth, "truth")
    yield "</div>"
    notes = dict.fromkeys(n for r in records for n in r["notes"])
    yield (
        f"<ul>{''.join(f'<li>{html.escape(n)}</li>' for n in notes)}</ul></section>"
        if notes
        else "</section>"
    )


def _edit(record: Record, folder: Path) -> str:
    caption = html.escape(record["row"])
    if record["status"] != OK:
        reason = html.escape(record["reason"])
        below = f"<figcaption>{caption}<br>{reason}</figcaption>"
        return f'<figure><div class="empty fault">failed</div>{below}</figure>'
    shown = [(k, record["metrics"].get(k, {}).get("value")) for k in _shown(record)]
    numbers = "<br>".join(
        f"{html.escape(GENERAL[k][0])} {v:.{GENERAL[k][1]}f}" for k, v in shown if v is not None
    )
    file = folder / record["picture"]
    return _figure(lambda: _read(file), record["row"], numbers)


def _shown(record: Record) -> tuple[str, ...]:
    known = record["metrics"].get("reference_target_psnr", {}).get("value") is not None
    first = "reference_target_psnr" if known else "moved_psnr"
    return (first, "background_psnr", "dai_paper_20", "seconds")


def _figure(picture: Callable[[], Any], caption: str, numbers: str = "") -> str:
    try:
        shown = f'<img alt="{html.escape(caption)}" src="{_thumbnail(picture())}">'
    except (OSError, DragError) as e:
        shown = f'<div class="empty fault">{html.escape(str(e))}</div>'
    below = f'<br><span class="number">{numbers}</span>' if numbers else ""
    return f"<figure>{shown}<figcaption>{html.escape(caption)}{below}</figcaption></figure>"


def _read(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        return picture.convert("RGB")


def _thumbnail(picture: Tensor | Image.Image) -> str:
    """Makes a small JPEG of a picture, (3, H, W) in [0, 1] where it is a tensor, as a data: address."""
    if isinstance(picture, Tensor):
        picture = Image.fromarray(to_bytes(picture.cpu()).permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
