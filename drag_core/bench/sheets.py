"""A benchmark's tables as files: table.csv with every metric, and table.md to read."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence

from ..metrics.protocols import PROTOCOLS, column_of
from .lines import Record
from .paired import Difference
from .published import tables_for
from .rows import NO_EDIT, WARP
from .summary import cell, coverage, keys_in, notes_in, paired, reasons_in, rows_in, values

# what is shown where no paper's table says: heading, digits
GENERAL = {
    "reference_target_psnr": ("target to the truth, dB ↑", 1),
    "reference_vacated_psnr": ("vacated to the truth, dB ↑", 1),
    "reference_psnr": ("whole to the truth, dB ↑", 1),
    "reference_centroid_1": ("place to the truth, px ↓", 1),
    "reference_angle_1": ("turn to the truth, ° ↓", 1),
    "moved_psnr": ("moved content, dB ↑", 1),
    "centroid_1": ("place, px ↓", 1),
    "left_behind": ("left behind, dB ↓", 1),
    "background_psnr": ("background, dB ↑", 1),
    "dai_paper_20": ("DAI_20 (Eq. 8) ↓", 4),
    "seconds": ("seconds", 1),
    "peak_memory": ("memory, MB", 0),
}
COMPARED = (
    "reference_target_psnr",
    "reference_vacated_psnr",
    "moved_psnr",
    "background_psnr",
    "dai_paper_20",
)
FEW_NAMED = 6
NO_VALUE = "–"


def table_csv(records: Sequence[Record]) -> str:
    """Writes a line for each row: its coverage, and each metric's mean, interval, median and count.

    What has no value is empty, never 0; table.md says why.
    """
    out, keys = io.StringIO(), keys_in(records)
    writer = csv.writer(out, lineterminator="\n")
    parts = ("", " low", " high", " median", " n")
    writer.writerow(
        ["row", "recipe", "variant", "model", "samples", "whole", "composited"]
        + [k + p for k in keys for p in parts]
    )
    for row in rows_in(records):
        first = next(r for r in records if r["row"] == row)
        whole, asked = coverage(records, row)
        line = [
            row,
            first["recipe"],
            first["variant"],
            first["model"],
            asked,
            whole,
            _composited(records, row),
        ]
        for key in keys:
            c = cell(records, row, key)
            line += [_plain(c.mean), _plain(c.low), _plain(c.high), _plain(c.median), c.count or ""]
        writer.writerow(line)
    return out.getvalue()


def table_md(records: Sequence[Record], title: str) -> str:
    """Writes the tables to read: in general, as each paper prints them, differences, kinds, coverage."""
    parts = [[f"# {title}", "", *_reading(records)], _general(records), *_papers(records)]
    parts += [_differences(records), _kinds(records), _seconds(records)]
    parts += [_coverage(records), _missing(records)]
    return "\n\n".join("\n".join(p).strip() for p in parts if p) + "\n"


def _reading(records: Sequence[Record]) -> list[str]:
    out = [
        "Means over samples with their 95 % intervals (bootstrap over samples, seeded); a mean of fewer "
        f"samples than were asked for says of how many. `{NO_EDIT}` is the picture itself: what counts is "
        "the way from there."
    ]
    if any(r["base"] != records[0]["base"] for r in records):
        out.append("Several seeds: ± is the deviation of the seeds' means.")
    return out


def _general(records: Sequence[Record]) -> list[str]:
    keys = [k for k in GENERAL if any(values(records, row, k) for row in rows_in(records))]
    heads = [GENERAL[k][0] for k in keys]
    lines = [_row(["row", *heads, "composited"]), "|---" * (len(heads) + 2) + "|"]
    for row in rows_in(records):
        cells = [_cell(records, row, k, GENERAL[k][1]) for k in keys]
        lines.append(_row([row, *cells, _composited(records, row)]))
    return ["", "## In general", "", *lines]


def _papers(records: Sequence[Record]) -> Iterator[list[str]]:
    """Yields a table for each protocol that has a value, the paper's rows of the same set below ours."""
    formats = {r["format"] for r in records if "format" in r}
    for protocol in PROTOCOLS.values():
        columns = protocol.columns
        if not any(values(records, row, c.key) for row in rows_in(records) for c in columns):
            continue
        lines = ["", f"## As {protocol.stamp}", "", protocol.source + ".", ""]
        lines += [_row(["row", *(c.head for c in columns)]), "|---" * (len(columns) + 1) + "|"]
        for row in rows_in(records):
            lines.append(_row([row, *(_cell(records, row, c.key, c.digits) for c in columns)]))
        for table in (t for t in tables_for(formats) if t.protocol == protocol.name):
            for method, numbers in table.rows:
                found = dict(zip(table.keys, numbers, strict=True))
                cells = [f"{found[c.key]:.{c.digits}f}" if c.key in found else NO_VALUE for c in columns]
                lines.append(_row([f"*{method}, published ({table.source})*", *cells]))
        said: dict[str, list[str]] = {}
        for c in columns:
            said.setdefault(_why(records, c.key), []).append(c.label)
        lines += ["", *(f"- {'; '.join(labels)}: {why}" for why, labels in said.items() if why)]
        yield lines


def _differences(records: Sequence[Record]) -> list[str]:
    """Lists every row against the baselines, paired: mean of the difference, its interval, where it rises."""
    rows = rows_in(records)
    keys = [k for k in COMPARED if any(values(records, row, k) for row in rows)]
    lines = [_row(["row", "against", *(GENERAL[k][0] for k in keys)]), "|---" * (len(keys) + 2) + "|"]
    for row in rows:
        for base in (b for b in (NO_EDIT, WARP) if b in rows and b != row):
            found = [paired(records, base, row, k) for k in keys]
            lines.append(
                _row([row, base, *(_difference(d, GENERAL[k][1]) for d, k in zip(found, keys, strict=True))])
            )
    head = "## Paired differences"
    said = "Row minus baseline over the samples that both have; [95 % interval]; in how many it rises."
    return ["", head, "", said, "", *lines]


def _kinds(records: Sequence[Record]) -> list[str]:
    kinds = list(dict.fromkeys(r["category"] for r in records))
    keys = [k for k in COMPARED if any(values(records, row, k) for row in rows_in(records))]
    if len(kinds) < 2:
        return []
    lines = [_row(["kind", "row", *(GENERAL[k][0] for k in keys)]), "|---" * (len(keys) + 2) + "|"]
    for kind in kinds:
        mine = [r for r in records if r["category"] == kind]
        for row in rows_in(mine):
            lines.append(_row([kind or NO_VALUE, row, *(_cell(mine, row, k, GENERAL[k][1]) for k in keys)]))
    return ["", "## By kind", "", *lines]


def _seconds(records: Sequence[Record]) -> list[str]:
    """Averages seconds by stage; the first edit of a process loads and compiles, and counts where alone."""
    timed = [r for r in records if r.get("seconds")]
    stages = list(dict.fromkeys(s for r in timed for s in r["seconds"]))
    if not timed:
        return []
    heads = ["row", *stages, "all", "all but identity (LoRA)", "of edits"]
    lines = [_row(heads), "|---" * len(heads) + "|"]
    for row in rows_in(timed):
        mine = [r for r in timed if r["row"] == row]
        warm = [r["seconds"] for r in mine if not r["warm_up"]] or [r["seconds"] for r in mine]
        spent = [sum(s.get(stage, 0.0) for s in warm) / len(warm) for stage in stages]
        without = sum(x for x, stage in zip(spent, stages, strict=True) if stage != "identity")
        told = [*spent, sum(spent), without]
        lines.append(_row([row, *(f"{x:.2f}" for x in told), str(len(warm))]))
    return ["", "## Seconds by stage", "", *lines]


def _coverage(records: Sequence[Record]) -> list[str]:
    lines = [_row(["row", "whole", "asked for"]), "|---|---|---|"]
    for row in rows_in(records):
        whole, asked = coverage(records, row)
        lines.append(_row([row, str(whole), str(asked)]))
    lines = ["", "## Coverage", "", *lines, ""]
    for reason, samples, rows in reasons_in(records):
        lines.append(f"- failed: {_named(samples)} in {len(rows)} rows ({_named(rows)}): {_safe(reason)}")
    for note, samples in notes_in(records):
        lines.append(f"- {_count(len(samples), 'sample')}: {_safe(note)} ({_named(samples)})")
    return lines


def _missing(records: Sequence[Record]) -> list[str]:
    """Lists the metrics that no row has, by what they need."""
    needs: dict[str, list[str]] = {}
    for key in keys_in(records):
        told = [r["metrics"][key] for r in records if key in r["metrics"]]
        if all(t["value"] is None for t in told):
            needs.setdefault(_why(records, key) or "no value", []).append(told[0]["name"])
    if not needs:
        return []
    return ["", "## Not measured", "", *(f"- {'; '.join(names)}: {why}" for why, names in needs.items())]


def _cell(records: Sequence[Record], row: str, key: str, digits: int) -> str:
    c = cell(records, row, key)
    if not c.count:
        return NO_VALUE
    said = f"{c.mean:.{digits}f}"
    if not math.isnan(c.deviation):
        said += f" ± {c.deviation:.{digits}f}"
    if c.count > 1:
        said += f" [{c.low:.{digits}f}, {c.high:.{digits}f}]"
    _, asked = coverage(records, row)
    return said if c.count == asked else f"{said} of {c.count}"


def _difference(d: Difference, digits: int) -> str:
    if not d.count:
        return NO_VALUE
    return f"{d.mean:+.{digits}f} [{d.low:+.{digits}f}, {d.high:+.{digits}f}], {d.rises}/{d.count}"


def _why(records: Sequence[Record], key: str) -> str:
    """Says why a metric has no value anywhere, or what to know of it; empty where neither."""
    told = [r["metrics"][key] for r in records if key in r["metrics"]]
    column = column_of(key)
    if all(t["value"] is None for t in told):
        return next((t["reason"] for t in told if t["reason"]), "")
    said = next((t["reason"] for t in told if t["value"] is not None and t["reason"]), "")
    if column is not None and not column.published:
        said = column.reason
    return (
        f"not comparable to the paper: {said}"
        if said and any(t["comparable_to_paper"] is False for t in told)
        else said
    )


def _composited(records: Sequence[Record], row: str) -> str:
    told = {r["composited"] for r in records if r["row"] == row and "composited" in r} - {None}
    return NO_VALUE if not told else "yes" if told == {True} else "no" if told == {False} else "partly"


def _plain(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - FEW_NAMED} more" if len(names) > FEW_NAMED else ""
    return ", ".join(map(_safe, names[:FEW_NAMED])) + more


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_safe, cells)) + " |"


def _safe(text: str) -> str:
    """Keeps a text from ending its cell or its line."""
    return text.replace("|", "\\|").replace("\n", " ")


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")
