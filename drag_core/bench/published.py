"""The papers' own numbers, by set and protocol: printed beside ours, marked as published.

A number holds only among those of its own table. Sources: DragFlow Tab. 2; DragNeXt (AAAI) Tab. 1 and
arXiv v1 Tab. 1; GoodDrag Tab. 1, 7 and 9; AdaptiveDrag Tab. 1.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A paper's table on one set.

    formats: of samples.Sample, that the set has.
    keys: of its columns, as in metrics.protocols; rows: a method and its numbers in their order.
    """

    protocol: str
    formats: tuple[str, ...]
    source: str
    keys: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]


DRAGFLOW = ("if_bg", "if_s2t_released", "if_s2s", "md1", "md2")
DAI_20 = ("dai_paper_20", "lpips_ue", "lpips_th", "lpips_hh")
DAI = ("dai_paper_1", "dai_paper_5", "dai_paper_10", "dai_paper_20")
TABLES = (
    Published(
        "dragflow",
        ("red",),
        "DragFlow Tab. 2, ReD Bench",
        DRAGFLOW,
        (
            ("RegionDrag", (1.000, 0.957, 0.957, 33.69, 6.38)),
            ("FastDrag", (0.928, 0.950, 0.941, 23.37, 5.00)),
            ("InstantDrag", (0.930, 0.949, 0.946, 24.38, 4.54)),
            ("DragLoRA", (0.927, 0.950, 0.938, 26.04, 4.86)),
            ("FreeDrag", (0.941, 0.947, 0.956, 30.31, 6.08)),
            ("DragNoise", (0.942, 0.932, 0.975, 45.46, 8.85)),
            ("GoodDrag", (0.935, 0.956, 0.942, 20.38, 4.50)),
            ("CLIPDrag", (0.952, 0.942, 0.965, 33.84, 6.98)),
            ("DragDiffusion", (0.944, 0.948, 0.947, 32.15, 5.65)),
            ("DragFlow", (0.992, 0.958, 0.934, 19.46, 4.48)),
        ),
    ),
    Published(
        "dragflow",
        ("dragbench-dr",),
        "DragFlow Tab. 2, DragBench-DR",
        DRAGFLOW,
        (
            ("RegionDrag", (1.000, 0.942, 0.960, 32.32, 6.31)),
            ("FastDrag", (0.938, 0.947, 0.952, 35.96, 6.60)),
            ("InstantDrag", (0.944, 0.945, 0.966, 36.26, 6.99)),
            ("DragLoRA", (0.942, 0.941, 0.952, 42.03, 6.77)),
            ("FreeDrag", (0.955, 0.946, 0.967, 34.77, 6.81)),
            ("DragNoise", (0.956, 0.943, 0.977, 39.31, 7.69)),
            ("GoodDrag", (0.948, 0.946, 0.956, 37.87, 6.91)),
            ("CLIPDrag", (0.962, 0.945, 0.972, 38.06, 7.45)),
            ("DragDiffusion", (0.954, 0.944, 0.958, 39.41, 7.05)),
            ("DragFlow", (0.969, 0.948, 0.941, 31.59, 5.93)),
        ),
    ),
    Published(
        "dragnext",
        ("nextbench",),
        "DragNeXt (AAAI) Tab. 1, 234 samples",
        DAI_20,
        (
            ("DragDiffusion", (0.10333, 0.05914, 0.32314, 0.23663)),
            ("DiffEditor", (0.07255, 0.05960, 0.30570, 0.23291)),
            ("DragNoise", (0.10001, 0.05891, 0.35697, 0.24789)),
            ("FreeDrag", (0.11113, 0.07693, 0.36907, 0.26723)),
            ("GoodDrag", (0.06878, 0.05794, 0.28667, 0.25291)),
            ("ClipDrag", (0.11909, 0.06243, 0.37292, 0.20528)),
            ("RegionDrag", (0.05968, 0.05930, 0.18780, 0.19736)),
            ("FastDrag", (0.08530, 0.06624, 0.32646, 0.28411)),
            ("DragNeXt", (0.05775, 0.05886, 0.16223, 0.36653)),
        ),
    ),
    Published(
        "dragnext_arxiv",
        ("nextbench",),
        "DragNeXt (arXiv v1) Tab. 1, 120 samples",
        ("if_ed", "if_th", "if_hh"),
        (
            ("DragDiffusion", (0.67, 0.73, 0.72)),
            ("DiffEditor", (0.65, 0.72, 0.72)),
            ("GoodDrag", (0.69, 0.74, 0.71)),
            ("ClipDrag", (0.70, 0.74, 0.71)),
            ("RegionDrag", (0.74, 0.75, 0.75)),
            ("FastDrag", (0.64, 0.71, 0.72)),
            ("DragNeXt", (0.72, 0.76, 0.70)),
        ),
    ),
    Published(
        "gooddrag",
        ("drag100",),
        "GoodDrag Tab. 1 and 7, Drag100 (which form of DAI is not said)",
        DAI,
        (
            ("DragDiffusion", (0.148, 0.144, 0.130, 0.115)),
            ("DragDiffusion*, 210 operations", (0.119, 0.110, 0.098, 0.092)),
            ("SDE-Drag", (0.157, 0.144, 0.129, 0.114)),
            ("DragonDiffusion", (0.213, 0.199, 0.183, 0.166)),
            ("DragNoise", (0.209, 0.191, 0.169, 0.146)),
            ("EasyDrag", (0.201, 0.191, 0.169, 0.142)),
            ("InstantDrag", (0.173, 0.152, 0.128, 0.108)),
            ("GoodDrag without IP", (0.110, 0.098, 0.093, 0.088)),
            ("GoodDrag without AlDD", (0.090, 0.079, 0.072, 0.070)),
            ("GoodDrag", (0.070, 0.067, 0.064, 0.062)),
        ),
    ),
    Published(
        "gooddrag",
        ("dragbench",),
        "GoodDrag Tab. 9, DragBench with masks (which form of DAI is not said)",
        DAI,
        (
            ("GoodDrag", (0.1339, 0.1254, 0.1210, 0.1153)),
            ("DragDiffusion", (0.1829, 0.1711, 0.1618, 0.1538)),
            ("SDE-Drag", (0.1796, 0.1652, 0.1577, 0.1499)),
            ("DragonDiffusion", (0.3108, 0.2940, 0.2821, 0.2692)),
        ),
    ),
    Published(
        "dragdiffusion",
        ("dragbench",),
        "AdaptiveDrag Tab. 1, DragBench (DragNoise's authors report others for the same methods)",
        ("md", "if"),
        (
            ("DragDiffusion", (34.29, 0.789)),
            ("DragNoise", (40.89, 0.861)),
            ("EasyDrag", (34.44, 0.882)),
            ("AdaptiveDrag", (30.69, 0.873)),
        ),
    ),
)


def tables_for(formats: set[str]) -> list[Published]:
    """Returns the papers' tables on sets of these formats; none where the samples are of several."""
    return [t for t in TABLES if len(formats) == 1 and formats <= set(t.formats)]
