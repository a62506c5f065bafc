"""What a picture shows before and after a drag, as the host's CONDITIONING."""

from __future__ import annotations

from typing import Any

import torch
from comfy.ldm.flux.model import Flux

from ...drag_core.recipes.presets import preset_for
from ...drag_core.types import DragError
from .family import context_width, geometry_or_none
from .whole import net_of


def prompts_for(patcher: Any, clip: Any, positive: Any, said: tuple[str, str]) -> tuple[Any, Any]:
    """Returns the CONDITIONING of what a picture shows before and after.

    said: before, after, "" for not said: after is then as before. With `positive` it is not read.
    An embedded model needs neither clip nor positive: it was trained without text.
    """
    if positive is not None:
        return positive, positive
    check_prompt(patcher, clip, positive)
    net = net_of(patcher)
    if preset_for(geometry_or_none(net)) is not None:
        width = net.params.context_in_dim if isinstance(net, Flux) else context_width(net)
        assert width is not None  # ours has cross-attention
        return (none := blank(width)), none
    before = _encoded(clip, said[0])
    return before, before if said[1] in ("", said[0]) else _encoded(clip, said[1])


def check_prompt(patcher: Any, clip: Any, positive: Any) -> None:
    """Refuses a model that needs a prompt and gets none."""
    if clip is None and positive is None and preset_for(geometry_or_none(net_of(patcher))) is None:
        raise DragError(
            "the model needs a prompt: connect clip (the drag editor's prompts are encoded, an empty one "
            "too), or positive from CLIP Text Encode"
        )


def blank(width: int) -> Any:
    """Makes the CONDITIONING of no text, of tokens this wide: an embedded model's."""
    zeros = torch.zeros(1, 1, width)
    return [[zeros, {"pooled_output": zeros[0].clone()}]]


def _encoded(clip: Any, text: str) -> Any:
    """Encodes a text as CLIP Text Encode does."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))
