"""DragIntent: what a drag means, as a multimodal model guesses it; the chosen guess sets task and prompts."""

from __future__ import annotations

import json
from dataclasses import replace

import torch
from comfy_api.latest import io
from torch import Tensor

from ..drag_core.mllm.candidates import read_intent
from ..drag_core.mllm.chosen import chosen, pick
from ..drag_core.mllm.intent import CANDIDATES, QUESTION, Intent, as_dict, schema
from ..drag_core.motion.draft import unfinished
from ..drag_core.motion.instruction import DragInstruction, parse, to_json
from ..drag_core.motion.region import drag_task
from ..drag_core.motion.task import draw, fitted
from ..drag_core.pictures.overlay import overlay
from ..drag_core.types import DragError, Grid
from . import sockets
from .convert import host_image, picture, png, said
from .host.waiting import waited
from .mllm_client import Mllm, ask

MOST_SIDE = 1024  # px of a picture that is sent; models see it in about a megapixel


class DragIntent(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragIntent",
            display_name="Drag Intent",
            category=sockets.CATEGORY,
            description="Asks a multimodal model what a drag means: ten candidates, each a task (relocation, "
            "deformation, rotation) and a prompt (DragFlow D.3). The Drag Editor shows them as chips; the "
            "chosen one sets task and prompts.",
            search_aliases=["intent", "prompt", "vlm", "mllm", "caption", "task"],
            inputs=[
                io.Image.Input("image", tooltip="The picture to drag in. One picture, RGB."),
                io.String.Input(
                    "instruction",
                    multiline=True,
                    default="",
                    dynamic_prompts=False,
                    tooltip="The drag as JSON, from the Drag Editor.",
                ),
                io.Int.Input(
                    "choice",
                    default=0,
                    min=0,
                    max=CANDIDATES,
                    tooltip="0: the drag as it is; choose a chip in the Drag Editor. 1 to 10: a candidate.",
                ),
                sockets.MLLM.Input(
                    "mllm",
                    optional=True,
                    tooltip="The model that is asked. With choice 0 it is asked only while the drag has no "
                    "prompt after.",
                ),
                io.String.Input(
                    "answer",
                    optional=True,
                    force_input=True,
                    tooltip="In place of mllm: what another node's model answered to question.",
                ),
            ],
            outputs=[
                sockets.Regions.Output("regions", tooltip="What moves where, under the chosen task."),
                io.String.Output(
                    "instruction", tooltip="The drag as JSON, with the chosen task and prompts."
                ),
                io.String.Output("source_prompt", tooltip="The picture in words, to invert it with."),
                io.String.Output("target_prompt", tooltip="The picture after the drag, to edit it with."),
                io.Image.Output(
                    "overlay", tooltip="What the model sees: source blue, target green, an arrow."
                ),
                io.String.Output("question", tooltip="What it is asked, for another node's model."),
                io.String.Output("candidates", tooltip="The answer as JSON; its list is empty without one."),
            ],
            is_output_node=True,  # so that the editor can ask without running the drag
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        instruction: str = "",
        choice: int = 0,
        mllm: Mllm | None = None,
        answer: str | None = None,
    ) -> io.NodeOutput:
        # ordinary tensors go into the regions: those of inference mode can't take part in a gradient
        with torch.inference_mode(False):
            pixels = picture(image).clamp(0, 1)[0]
            size = Grid(pixels.shape[-2], pixels.shape[-1])
            x = _finished(instruction)
            x, scaled = fitted(x, size)
            task, _ = drag_task(size, instruction=x)
            shown = overlay(
                pixels, replace(task, editable=None)
            )  # what may change is no part of the question
            intent, notes = _intent(x, choice, mllm, answer, (pixels, shown))
            if choice:
                x, more = chosen(x, intent, pick(intent, choice), lambda spec: draw(spec.shape, size))
                notes = (*notes, *more)
            task, more = drag_task(size, instruction=x)
        notes = (*scaled, *notes, *more)
        return io.NodeOutput(
            task,
            to_json(x),
            x.source_prompt,
            x.target_prompt,
            host_image(shown),
            QUESTION,
            json.dumps(as_dict(intent), indent=1),
            ui={
                "drag_intent": (as_dict(intent),),
                "drag_notes": intent.notes,  # for the editor
                "text": (said((*_listed(intent), *notes)),),
            },
        )


def _finished(instruction: str) -> DragInstruction:
    x = parse(instruction, finished=False) if instruction.strip() else DragInstruction()
    if missing := unfinished(x):
        raise DragError(f"before anyone is asked what the drag means: {missing}")
    return x


def _intent(
    x: DragInstruction, choice: int, mllm: Mllm | None, answer: str | None, pictures: tuple[Tensor, Tensor]
) -> tuple[Intent, tuple[str, ...]]:
    """Returns what is answered, and why nothing is where nothing is."""
    nothing = Intent("", "", ())
    if mllm is not None and answer is not None:
        raise DragError("both mllm and answer are connected: take one of them away")
    if mllm is None and answer is None:
        if choice:
            raise DragError(
                f"choice is {choice} and nobody is asked: connect mllm or answer, or set choice to 0"
            )
        return nothing, ("nobody was asked: connect mllm or answer",)
    if mllm is not None and not choice and x.target_prompt:
        return nothing, ("the drag has its prompt already, so that nobody was asked: clear it to ask again",)
    if mllm is not None:
        files = [png(p, MOST_SIDE) for p in pictures]
        answer = ask(mllm, QUESTION, files, schema(), waited).text
    intent = read_intent(answer)
    if not choice:
        return intent, (*intent.notes, "nothing is chosen: choose a chip in the editor, or a number here")
    return intent, intent.notes


def _listed(intent: Intent) -> tuple[str, ...]:
    return tuple(f"{i + 1}. [{c.task or 'no task'}] {c.prompt}" for i, c in enumerate(intent.candidates))
