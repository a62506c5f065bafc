"""A UNet's passes as CUDA graphs for the length of a session, where nothing on the model stands in the way.

A small update is bound by the host: some 2000 launches of 50 us each, while the device works a fifth of the
time. A graph launches them all at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import comfy.model_management as mm
import torch
from comfy.patcher_extension import CallbacksMP, WrappersMP, get_all_wrappers
from torch import nn

from ...drag_core.backends.graphed import Graphs
from ...drag_core.backends.recorders import CudaRecorder, Recorder, Tensors
from ...drag_core.types import FeatureTap
from . import marked, memory
from .backbones.call import owners_of
from .backbones.grad import replaced
from .backbones.held import NotHeld, held
from .backbones.unet import ComfyUNet

SESSION = __name__.removesuffix("graphs") + "session"  # its wrapper asks for memory and sees no tensor
WANTED = True  # one place to turn them off
ALLOCATORS = ("native", "cudaMallocAsync")  # of torch, that recordings were tried with on a card
SLACK, SPARE = 1.2, 256 * 2**20  # of what a pass takes, and bytes beside it, that must be free
AROUND = (WrappersMP.CALC_COND_BATCH, WrappersMP.APPLY_MODEL, WrappersMP.DIFFUSION_MODEL)
ASKED = (CallbacksMP.ON_PREPARE_STATE, CallbacksMP.ON_APPLY_HOOKS)
OPTIONS = ("model_function_wrapper", "context_handler", "multigpu_clones")
PLAIN = ("manual_cast_dtype",)  # an object patch that runs nothing
INNER = ("patches", "patches_replace", "optimized_attention_override")


def recorder_for(device: torch.device) -> Recorder | None:
    """Makes what records on `device`; None where nothing does (AMD's cards are called cuda by torch too)."""
    return CudaRecorder(device) if device.type == "cuda" and torch.version.cuda is not None else None


@contextmanager
def recording(backbone: Any, taps: tuple[FeatureTap, ...], whole: bool) -> Iterator[None]:
    """Context manager: passes of a UNet that come often are recorded and replayed.

    taps, whole: of its passes with a gradient, as SessionNeeds has them. To be entered before frozen().
    Afterwards all memory of the recordings is free, and the model as it was.
    """
    recorder = recorder_for(backbone.call.device) if WANTED and isinstance(backbone, ComfyUNet) else None
    if recorder is None:
        yield
        return

    def refused(given: Tensors, gradient: bool) -> str:
        return _no_room(backbone, given, gradient, taps, whole)

    with ExitStack() as stack:
        if not (why := obstacle(backbone)):
            try:
                dtype = backbone.call.model.get_dtype_inference()
                stack.enter_context(held(backbone.net, backbone.call.device, dtype))
            except NotHeld as e:
                why = str(e)
            except Exception as e:  # of a layer that no pass may come to
                why = f"{type(e).__name__}: {e}"
        if why:
            backbone.ungraphed = why
            yield
            return
        backbone.graphs = graphs = Graphs(marked.Marked(recorder), refused)
        try:
            yield
        finally:
            backbone.graphs = None
            graphs.close()
            if graphs.off:
                logging.info("drag: CUDA graph off: %s", graphs.off)


def said(backbone: Any) -> str | None:
    """Says in a line what was recorded, or why nothing is; None where there are no graphs."""
    graphs = backbone.graphs
    if graphs is None:
        return f"off: {backbone.ungraphed}" if backbone.ungraphed else None
    if graphs.off:
        return f"off: {graphs.off}"
    return f"{len(graphs.passes)} recorded, {graphs.replays} replayed"


def obstacle(backbone: ComfyUNet) -> str:
    """Says what forbids recording passes of this model, or "".

    Careful: whatever another pack has put on the model may look at Python's world in every pass.
    """
    call, net = backbone.call, backbone.net
    if call.kind != "noise":
        return "its levels are a flow's"
    if call.device.type == "cuda" and torch.cuda.get_allocator_backend() not in ALLOCATORS:
        own = torch.cuda.get_allocator_backend()
        return f"torch allocates by {own}, which this was not run with"
    if said := marked.ended_badly():
        return said
    if call.model.model_lowvram:
        return "a part of the weights is not on the device"
    return _foreign(call, net)


def _foreign(call: Any, net: nn.Module) -> str:
    """Says what of others is on the model and on the way of a pass."""
    patcher, options = call.model.current_patcher, call.options
    inner = options["transformer_options"]
    there = [
        *(n for n in patcher.object_patches if n not in PLAIN),
        *patcher.injections,
        *(["hooks"] if patcher.hook_patches else []),
    ]
    there += [name for name in OPTIONS if options.get(name)]
    there += [name for name in INNER if inner.get(name)]
    there += [kind for kind in AROUND if get_all_wrappers(kind, inner)]
    there += [kind for kind in ASKED if patcher.get_all_callbacks(kind)]
    if any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in net.modules()):
        there.append("forward hooks")
    there += [f"forward of {name}" for name, _ in replaced(net)]
    if not there:
        return ""
    owners = ", ".join(o for o in owners_of(inner) if o != SESSION)
    return f"another node's parts are on the model ({there[0]}{f' of {owners}' if owners else ''})"


def _no_room(
    backbone: ComfyUNet, given: Tensors, gradient: bool, taps: tuple[FeatureTap, ...], whole: bool
) -> str:
    """Says whether too little memory is free to keep a pass's own beside what else runs."""
    model, shape = backbone.call.model, given[0].shape
    wanted = float(model.memory_required(list(shape)))
    if gradient:
        item = int(model.get_dtype_inference().itemsize)
        size = (int(shape[-2]), int(shape[-1]))
        kept = memory.activation_bytes(backbone.net, size, taps, whole, False, item)
        wanted = max(wanted, float(shape[0] * kept))
    wanted, free = SLACK * wanted + SPARE, int(mm.get_free_memory(backbone.call.device))
    if free >= wanted:
        return ""
    return f"a recording wants {wanted / 2**20:.0f} MiB and {free / 2**20:.0f} are free"
