"""DragKVInject: stock samplers look at the inverted picture's keys and values."""

from __future__ import annotations

from comfy_api.latest import io
from torch import Tensor

from ..drag_core.motion.masks import EDITABLE, on_grid
from ..drag_core.recipes.released import KVPairing
from ..drag_core.types import DragError, Grid
from . import sockets
from .convert import joined
from .host.inversion import Inversion, choose_kv, kv_layers
from .host.patches import inject_kv, sigma_range
from .host.shape import cell_of
from .inputs import sampling_range


class DragKVInject(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragKVInject",
            display_name="Drag KV Inject",
            category=sockets.PARTS,
            description="Patches a model so that self-attention uses the inverted picture's keys and "
            "values, matched by noise level: identity and texture stay. For stock samplers: DragOptimize "
            "does this by itself where its recipe wants it, and refuses a model patched so.",
            inputs=[
                io.Model.Input("model", tooltip="The model that was inverted."),
                sockets.Trajectory.Input(
                    "trajectory",
                    tooltip="From DragInvert, with kv_layers other than none: of the picture, or of any "
                    "other of its size, as a draft of the result.",
                ),
                io.String.Input(
                    "layers",
                    default="auto",
                    tooltip="auto: the papers' layers for this model (Stable Diffusion: self-attention from "
                    "layer 10; FLUX: DragFlow's 13; other transformers: those as deep). Or a list as "
                    "'single.6, single.9'; they must be in the trajectory.",
                ),
                *sampling_range(),
                io.Combo.Input(
                    "pairing",
                    options=["level", "released"],
                    default="level",
                    optional=True,
                    tooltip="level: those of the nearest noise level. released: of the next cleaner one, as "
                    "DragFlow's released code.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White: keys and values are taken there; elsewhere the picture keeps its own. At "
                    "the inverted picture's size. Without it: everywhere.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        trajectory: Inversion,
        layers: str,
        start_percent: float,
        end_percent: float,
        pairing: KVPairing = "level",
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        chosen = choose_kv(layers, *kv_layers(model))
        sigmas = sigma_range(model, start_percent, end_percent)
        where = None if mask is None else _cells(model, trajectory, mask)
        return io.NodeOutput(inject_kv(model, trajectory, chosen, sigmas, pairing, where))


def _cells(model: io.Model.Type, trajectory: Inversion, mask: Tensor) -> Tensor | None:
    """Selects the cells of the trajectory's latent that `mask` covers by half; None where that is all."""
    (h, w), cell = trajectory.trajectory.z[0].shape[-2:], cell_of(model.model)
    cells = on_grid(joined(mask, Grid(cell * h, cell * w)), Grid(h, w), EDITABLE)
    if not cells.any():
        raise DragError(
            "the mask is empty, so that no keys and values are taken: paint it white where they should be, "
            "or take the connection away"
        )
    return None if cells.all() else cells
