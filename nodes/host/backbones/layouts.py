"""How the host builds its joint transformers (MMDiT).

One row per class says where their blocks hang, which module reads a block's normalised input, how K/V are
reached, and what noise levels the model was made for. The rest of the pack asks the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import CellType, FunctionType
from typing import Any, Literal

from comfy.ldm.chroma.model import Chroma
from comfy.ldm.flux.model import Flux
from comfy.ldm.modules.diffusionmodules.mmdit import OpenAISignatureMMDITWrapper
from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel
from torch import nn

from ....drag_core.ranges import check_mode
from ....drag_core.trajectory.schedules import flux2_shift, flux_shift, qwen_shift

Args = dict[str, Any]
StreamKind = Literal["double", "single"]


@dataclass(frozen=True)
class Stream:
    """One list of blocks.

    kind: "double" (picture and text apart) or "single" (one sequence, text first), as in the host's key (kind
        + "_block", i).
    attribute: the list's name in the network.
    reader: the submodule of a block that is given the modulated output of its first norm.
    """

    kind: StreamKind
    attribute: str
    reader: str

    def __post_init__(self) -> None:
        check_mode("the kind of a stream", self.kind, StreamKind)


@dataclass(frozen=True)
class Layout:
    """How one class of joint transformers is built.

    end: the modules after the last block.
    shift: the model's own rule for mu by image tokens and steps, None where it has a fixed one.
    patches_kv: the blocks call attn1_patch; else K/V are exchanged where attention is called.
    wrapped: the network runs the host's DIFFUSION_MODEL wrappers.
    call: a block in the host's way where its own closure does something else.
    """

    label: str
    streams: tuple[Stream, ...]
    end: tuple[str, ...] = ("final_layer",)
    shift: Callable[[int, int], float] | None = None
    patches_kv: bool = True
    wrapped: bool = True
    call: Callable[[nn.Module, Args], Args] | None = None

    def blocks(self, net: Any) -> dict[str, tuple[nn.Module, Stream]]:
        """Maps "double.0" ... to (block, its stream), in the order in which they run."""
        return {
            f"{s.kind}.{i}": (block, s)
            for s in self.streams
            for i, block in enumerate(getattr(net, s.attribute))
        }

    def width(self, net: Any) -> int:
        """Channels of a token."""
        stream = self.streams[0]
        return int(getattr(net, stream.attribute)[0].get_submodule(stream.reader).in_features)


def _joint(block: nn.Module, args: Args) -> Args:
    # the host's closure would put a checkpoint of its own around every block
    given = {"c": args["vec"], "transformer_options": args["transformer_options"], "use_checkpoint": False}
    txt, img = block(args["txt"], args["img"], **given)
    return {"txt": txt, "img": img}


DOUBLE = Stream("double", "double_blocks", "img_attn.qkv")
SINGLE = Stream("single", "single_blocks", "linear1")

FLUX1 = Layout("FLUX.1", (DOUBLE, SINGLE), shift=lambda tokens, steps: flux_shift(tokens))
FLUX2 = Layout("FLUX.2", (DOUBLE, SINGLE), shift=flux2_shift)
CHROMA = Layout("Chroma", (DOUBLE, SINGLE))
SD3 = Layout(
    "Stable Diffusion 3",
    (Stream("double", "joint_blocks", "x_block.attn.qkv"),),
    patches_kv=False,
    wrapped=False,
    call=_joint,
)
QWEN = Layout(
    "Qwen-Image",
    (Stream("double", "transformer_blocks", "attn.to_q"),),
    end=("norm_out", "proj_out"),
    shift=lambda tokens, steps: qwen_shift(tokens),
)
LAYOUTS = (FLUX1, FLUX2, CHROMA, SD3, QWEN)
_BY_CLASS = {
    Flux: FLUX1,
    Chroma: CHROMA,
    OpenAISignatureMMDITWrapper: SD3,
    QwenImageTransformer2DModel: QWEN,
}


def layout_of(net: Any) -> Layout | None:
    """Finds the layout of a network; None: no joint transformer that we know.

    A subclass is somebody's own and not known.
    """
    found = _BY_CLASS.get(type(net))
    return FLUX2 if found is FLUX1 and net.params.global_modulation else found


def attentions_of(block: nn.Module) -> int:
    """Lists the self-attentions of the picture in a block.

    SD3.5 medium's have a second one, of the picture alone.
    """
    return 2 if hasattr(getattr(block, "x_block", None), "attn2") else 1


def patch_of(net: Any) -> int:
    """Returns the latent cells along a token's side."""
    return int(net.patch_size)


def as_it_is(original: Callable[[Args], Args]) -> Callable[[Args], Args]:
    """Makes the host's own way of calling a block, bound to this block for good.

    Its closures read the host's loop variables, which have gone on when a checkpoint runs a block again. They
    also hold what a patch is not given: Qwen's text mask, the modulation of reference pictures.
    """
    cells = getattr(original, "__closure__", None)
    if not isinstance(original, FunctionType) or not cells:
        return original
    now = tuple(CellType(c.cell_contents) for c in cells)
    return FunctionType(
        original.__code__, original.__globals__, original.__name__, original.__defaults__, now
    )
