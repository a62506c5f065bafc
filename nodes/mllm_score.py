"""DragMLLMScore: the quality of edits as a multimodal model judges it."""

from __future__ import annotations

import json
from typing import Any

from comfy_api.latest import io, ui
from torch import Tensor

from ..drag_core.mllm.score import (
    MOST,
    NAME,
    REPEATS,
    Scores,
    letters,
    orders,
    prompt_hash,
    question,
    read_scores,
    schema,
    summary,
)
from ..drag_core.types import DragError
from . import sockets
from .convert import picture, png
from .host.waiting import waited
from .intent import MOST_SIDE
from .mllm_client import Mllm, ask


class DragMLLMScore(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragMLLMScore",
            display_name="Drag MLLM Score",
            category=sockets.INSPECT,
            description="A multimodal model scores edits of one picture from 0 to 10, several times, in an "
            "order shuffled by the seed. After GoodDrag's GScore, whose judge is no more; its numbers are "
            "others.",
            search_aliases=["gscore", "judge", "quality", "vlm", "mllm"],
            inputs=[
                sockets.MLLM.Input("mllm", tooltip="The judge; its name and settings go into the record."),
                io.Image.Input("original", tooltip="The picture before the drag. One picture, RGB."),
                io.Image.Input(
                    "edited", tooltip=f"Up to {MOST} edits of it, as a batch: they are seen side by side."
                ),
                io.String.Input(
                    "names",
                    default="",
                    tooltip="What the edits are called, with commas between; may be empty.",
                ),
                io.Int.Input(
                    "repeats", default=REPEATS, min=1, max=50, tooltip="How often the judge is asked."
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**31 - 1,
                    control_after_generate=False,
                    tooltip="Of the order in which the edits are shown.",
                ),
            ],
            outputs=[
                io.String.Output("table", tooltip="An edit a line: mean, deviation, answers that count."),
                io.Float.Output("score", tooltip="The mean of the first edit."),
                io.String.Output("json", tooltip="Scores, orders, the judge, and what went wrong."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, mllm: Mllm, original: Tensor, edited: Tensor, names: str, repeats: int, seed: int
    ) -> io.NodeOutput:
        count = edited.shape[0]
        letters(count)  # says so where there are too many
        called = _names(names, count)
        before = png(picture(original).clamp(0, 1)[0], MOST_SIDE)
        files = [png(picture(edited[i : i + 1]).clamp(0, 1)[0], MOST_SIDE) for i in range(count)]
        rows: list[tuple[float, ...]] = []
        asked: list[dict[str, Any]] = []
        shuffled = orders(count, repeats, seed)
        for k, order in enumerate(shuffled):
            again = Mllm(**{**mllm.record(), "seed": (mllm.seed + k) % 2**31})
            shown = [before, *(files[i] for i in order)]
            answer = ask(again, question(count), shown, schema(count), waited)
            entry: dict[str, Any] = {"order": [called[i] for i in order], "model": answer.model}
            try:
                rows.append(read_scores(answer.text, order))
                asked.append(entry | {"scores": dict(zip(called, rows[-1], strict=True))})
            except DragError as e:
                asked.append(entry | {"refused": str(e)})
        if not rows:
            raise DragError(f"no answer of {repeats} held scores; the last one: {asked[-1]['refused']}")
        scores = summary(rows)
        record = {
            "metric": NAME,
            "comparable_to_paper": False,
            "judge": mllm.record(),
            "prompt_sha256": prompt_hash(count),
            "seed": seed,
            "counted": f"{len(rows)} of {repeats}",
            "scores": {
                n: {"mean": s.mean, "deviation": s.deviation} for n, s in zip(called, scores, strict=True)
            },
            "answers": asked,
        }
        text = _table(called, scores, len(rows), repeats, mllm)
        data = json.dumps(record, indent=1, allow_nan=False)
        return io.NodeOutput(text, scores[0].mean, data, ui=ui.PreviewText(text))


def _names(names: str, count: int) -> list[str]:
    given = [n.strip() for n in names.split(",") if n.strip()]
    if not given:
        return [f"edit {i + 1}" for i in range(count)]
    if len(given) != count or len(set(given)) != count:
        raise DragError(f"names holds {len(set(given))} different ones for {count} edits: write one for each")
    return given


def _table(names: list[str], scores: tuple[Scores, ...], counted: int, repeats: int, mllm: Mllm) -> str:
    width = max(map(len, names))
    lines = [
        f"{n:<{width}}  {s.mean:5.2f} \u00b1 {s.deviation:.2f}" for n, s in zip(names, scores, strict=True)
    ]
    about = f"{NAME}, 0 to 10, higher is better; judge {mllm.model}; {counted} of {repeats} answers count"
    return "\n".join([about, *lines])
