"""How each published script measures, as data: frozen, and with a version that goes with every value.

Read in the scripts themselves; a number of one protocol never stands in a column of another's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .dai import RADII
from .distance import ENSEMBLE, LEVEL, TAP, Upsample

Better = Literal["higher", "lower"]
Pooling = Literal["points", "images"]  # a set's mean: over all its pairs, or over the means of its pictures
Domain = Literal["picture", "editable", "discs"]
Query = Literal["points", "centroids"]
ARROWS: dict[Better, str] = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True)
class FeatureRule:
    """How DIFT features are made for a match.

    side: the picture is resized to side x side, by torch's "nearest"; None: its own size, in whole cells.
    prompt: the data set's, or the empty one.
    latent: the script samples the encoder's distribution, or takes its mode. Here it is always the mode.
    """

    side: int | None
    prompt: Literal["own", "empty"]
    latent: Literal["sample", "mode"]
    t: float = LEVEL
    tap: str = TAP
    ensemble: int = ENSEMBLE


@dataclass(frozen=True)
class Column:
    """A value's place in a paper's table.

    key: of the line in a report.
    pooling: how the script averages over a set.
    rounded: decimals that each picture's value is rounded to before the mean; None: not at all.
    published: whether the definition is published whole; where not, `reason` says what is missing.
    """

    key: str
    label: str
    better: Better
    digits: int
    pooling: Pooling = "images"
    rounded: int | None = None
    published: bool = True
    reason: str = ""

    @property
    def head(self) -> str:
        return f"{self.label} {ARROWS[self.better]}"


@dataclass(frozen=True)
class Match:
    """A mean distance: which pairs are looked for where, in which features, in which unit."""

    key: str
    label: str
    features: FeatureRule
    upsample: Upsample
    domain: Domain
    query: Query
    unit: Literal["px", "%", ""]  # "": of the picture's sides, 1 is the whole side


@dataclass(frozen=True)
class Protocol:
    """One way of measuring: its columns in the order of its table, and what it looks with."""

    name: str
    version: int
    source: str
    columns: tuple[Column, ...]
    matches: tuple[Match, ...] = ()

    @property
    def stamp(self) -> str:
        return f"{self.name}/{self.version}"

    @property
    def features(self) -> tuple[FeatureRule, ...]:
        """The feature maps its matches need, each once."""
        return tuple(dict.fromkeys(m.features for m in self.matches))


OWN = FeatureRule(None, "own", "sample")
EMPTY = FeatureRule(None, "empty", "sample")
OWN_768 = FeatureRule(768, "own", "mode")
EMPTY_768 = FeatureRule(768, "empty", "mode")

IF = Column("if", "IF", "higher", 3)
MD = Match("md", "MD", OWN, "bilinear", "picture", "points", "px")
M_MD = Match("m_md", "m-MD", OWN, "bilinear", "editable", "points", "px")
MD_REGIONDRAG = Match("md_regiondrag", "MD of RegionDrag", OWN_768, "nearest", "discs", "points", "")
MD_INPAINT4DRAG = Match("md_inpaint4drag", "MD of Inpaint4Drag", EMPTY_768, "nearest", "discs", "points", "")
MD1 = Match("md1", "MD1", EMPTY, "bilinear", "editable", "centroids", "px")
MD2 = Match("md2", "MD2", EMPTY_768, "nearest", "discs", "centroids", "%")

UNPUBLISHED = "how a region is cut out is not published"
_DAI = tuple(
    Column(f"dai_{form}_{radius}", f"DAI_{radius} ({name})", "lower", 5)
    for radius in RADII
    for form, name in (("paper", "Eq. 8"), ("script", "script"))
)

PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol(
            "dragdiffusion",
            1,
            "DragDiffusion's drag_bench_evaluation; FastDrag, DragNoise, CLIPDrag, AdaptiveDrag and GoodDrag "
            "(App. C) use it too",
            (Column("md", "MD", "lower", 2, "points"), IF),
            (MD,),
        ),
        Protocol(
            "draglora",
            1,
            "DragLoRA's evaluation: MD within the drawn mask",
            (Column("m_md", "m-MD", "lower", 2, "points"), IF),
            (M_MD,),
        ),
        Protocol(
            "regiondrag",
            1,
            "RegionDrag's region_utils/evaluator.py; sides are 1",
            (Column("md_regiondrag", "MD", "lower", 4), IF),
            (MD_REGIONDRAG,),
        ),
        Protocol(
            "inpaint4drag",
            1,
            "Inpaint4Drag's utils/evaluator.py: RegionDrag's under the empty prompt",
            (Column("md_inpaint4drag", "MD", "lower", 4), IF),
            (MD_INPAINT4DRAG,),
        ),
        Protocol(
            "dragflow",
            1,
            "DragFlow Tab. 2 and App. E",
            (
                Column("if_bg", "IF_bg", "higher", 3, rounded=3),
                Column("if_s2t_released", "IF_s2t", "higher", 3, rounded=3),
                Column("if_s2s", "IF_s2s", "lower", 3, rounded=3),
                Column("md1", "MD1", "lower", 2, rounded=3),
                Column("md2", "MD2", "lower", 2),
            ),
            (MD1, MD2),
        ),
        Protocol("gooddrag", 1, "GoodDrag Tab. 1: DAI by Eq. 8 and as compute_DAI.py prints it", _DAI),
        Protocol(
            "dragnext",
            1,
            "DragNeXt (AAAI) Tab. 1",
            (
                Column("dai_paper_20", "DAI_20", "lower", 5),
                Column("lpips_ue", "LPIPS_ue", "lower", 5, published=False, reason=UNPUBLISHED),
                Column("lpips_th", "LPIPS_th", "lower", 5, published=False, reason=UNPUBLISHED),
                Column("lpips_hh", "LPIPS_hh", "higher", 5, published=False, reason=UNPUBLISHED),
            ),
        ),
        Protocol(
            "dragnext_arxiv",
            1,
            "DragNeXt (arXiv v1) Tab. 1, eq. 11-13",
            (
                Column("if_ed", "IF_ed", "higher", 2, published=False, reason=UNPUBLISHED),
                Column("if_th", "IF_th", "higher", 2, published=False, reason=UNPUBLISHED),
                Column("if_hh", "IF_hh", "lower", 2, published=False, reason=UNPUBLISHED),
            ),
        ),
        Protocol(
            "dragflow_inversion",
            1,
            "DragFlow Tab. 1: the inverted picture against its reconstruction",
            (
                Column("lpips", "LPIPS", "lower", 3),
                Column("whole_ssim", "SSIM", "higher", 3),
                Column("whole_psnr", "PSNR", "higher", 2),
            ),
        ),
    )
}


def protocol_of(key: str) -> Protocol | None:
    """Finds the first protocol that has a column of that key; None where no paper has it."""
    return next((p for p in PROTOCOLS.values() if any(c.key == key for c in p.columns)), None)


def column_of(key: str) -> Column | None:
    """Finds the column of that key."""
    return next((c for p in PROTOCOLS.values() for c in p.columns if c.key == key), None)


EVERY = "all"  # in place of a protocol's name
LOOKED = tuple(p.name for p in PROTOCOLS.values() if p.matches)  # that have mean distances


def rules_of(protocol: str) -> tuple[FeatureRule, ...]:
    """Lists the feature maps that a protocol's distances need, or those of all; empty for an unknown name."""
    chosen = [p for p in PROTOCOLS.values() if protocol in (p.name, EVERY)]
    return tuple(dict.fromkeys(r for p in chosen for r in p.features))
