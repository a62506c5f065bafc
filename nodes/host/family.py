"""What kind of model the user connected.

Its family, its layers for taps and K/V, and what stands in a drag's way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comfy.ldm.flux.model import Flux
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from ...drag_core.recipes.assemble import ModelGround
from ...drag_core.recipes.dragflow import KV
from ...drag_core.recipes.placing import layers_at_depth
from ...drag_core.recipes.presets import Preset, preset_for
from ...drag_core.types import DragError
from ...drag_core.types import Family as FamilyName
from .backbones import unet
from .backbones.layouts import LAYOUTS, Layout, layout_of, patch_of
from .shape import cell_of
from .whole import net_of

SKIPS_STEPS = ("easycache", "lazycache", "teacache", "torch.compile")


@dataclass(frozen=True)
class HostModel:
    """A kind of model.

    name: "sd" or "flux" (joint transformers), as recipes are made for.
    label: for people.
    blocks: that can be tapped.
    kv: the K/V layers of the papers, counted for this model, out of `attentions`.
    preset: settings of an embedded model, else None.
    layout: of a joint transformer.
    cell: pixels along a latent cell.
    multiple: latent cells a side must be divisible by.
    guided: it takes FLUX's guidance.
    """

    name: FamilyName
    label: str
    blocks: tuple[str, ...]
    kv: tuple[str, ...]
    attentions: tuple[str, ...]
    preset: Preset | None
    layout: Layout | None = None
    cell: int = 8
    multiple: int = 1
    guided: bool = False

    @property
    def joint(self) -> bool:
        """Whether picture and prompt go through one attention: FLUX and its kin."""
        return self.layout is not None

    def ground(self) -> ModelGround:
        """Collects what the model gives a recipe."""
        return ModelGround(
            family=self.name, label=self.label, blocks=self.blocks, kv=self.kv, preset=self.preset
        )

    def check_size(self, height: int, width: int) -> None:
        """Refuses a latent that the model cannot cut into its patches."""
        if height % self.multiple or width % self.multiple:
            raise DragError(
                f"the latent is {width}x{height} cells and {self.label} cuts it into {self.multiple}x"
                f"{self.multiple}: use a picture whose sides are divisible by {self.multiple * self.cell} "
                "(DragCrop makes one)"
            )


def geometry(net: Any) -> tuple[int, ...]:
    """Computes width and depth: what tells one of our own models from all others."""
    if isinstance(net, Flux):
        return (net.hidden_size, len(net.double_blocks), len(net.single_blocks), net.params.context_in_dim)
    return (net.model_channels, *net.channel_mult, net.in_channels)


def family_in(patcher: Any) -> HostModel:
    """Finds the family of the model as `patcher` has it, also while another clone of it is loaded."""
    return family_of(patcher.model, net_of(patcher))


def family_of(model: Any, net: Any = None) -> HostModel:
    """Finds the family of a model.

    Anything that a drag cannot use is refused in one sentence.

    model: the host's BaseModel.
    net: its network (None: as it is loaded now).
    """
    net = model.diffusion_model if net is None else net
    preset = preset_for(geometry_or_none(net))
    layout = layout_of(net)
    if layout is not None:
        names = tuple(layout.blocks(net))
        papers = layers_at_depth(KV, names)
        kv = preset.kv_blocks if preset else papers
        return HostModel(
            "flux",
            "embedded FLUX" if preset else layout.label,
            names,
            kv,
            names,
            preset,
            layout,
            cell_of(model),
            patch_of(net),
            bool(getattr(getattr(net, "params", None), "guidance_embed", False)),
        )
    if type(net) is UNetModel:
        attentions = unet.self_attentions(net)
        # SD1.5's layers 10 to 15 are those of the last two levels on the way up, whatever the model's depth
        first = sum(n + 1 for n in list(reversed(net.num_res_blocks))[: len(net.channel_mult) - 2])
        kv = tuple(name for (part, i, _), name in attentions.items() if part == "output" and i >= first)
        label = {768: "SD1.x", 1024: "SD2.x", 2048: "SDXL"}.get(context_width(net) or 0, "Stable Diffusion")
        label = "embedded UNet" if preset else label
        return HostModel("sd", label, tuple(unet.tap_modules(net)), kv, tuple(attentions.values()), preset)
    kind = type(net).__name__
    if "nunchaku" in type(net).__module__ or kind == "ComfyFluxWrapper":
        raise DragError(
            "this is a nunchaku model, which has no gradients and no blocks to tap: load the original FLUX "
            "weights"
        )
    known = ", ".join(layout.label for layout in LAYOUTS)
    raise DragError(f"this is a {kind} model; drags work on Stable Diffusion 1.x, 2.x, XL, {known}")


def geometry_or_none(net: Any) -> tuple[int, ...] | None:
    return geometry(net) if type(net) in (Flux, UNetModel) else None


def context_width(net: UNetModel) -> int | None:
    for module in net.modules():
        if hasattr(module, "attn2") and module.attn2 is not None:
            return int(module.attn2.to_k.in_features)
    return None


def in_the_way(patcher: Any) -> str | None:
    """Says what another node put on the model that keeps a drag from working, and what to do.

    None if nothing.
    """
    options = patcher.model_options
    if "model_function_wrapper" in options:
        owner = getattr(options["model_function_wrapper"], "__module__", "a pack")
        return (
            f"{owner} wraps the model's function (as TeaCache does), which hides its blocks: connect the "
            "model before it"
        )
    wrappers = [dict(patcher.wrappers), options.get("transformer_options", {}).get("wrappers", {})]
    keys = {str(key).lower() for kinds in wrappers for by_key in kinds.values() for key in by_key}
    for skipper in SKIPS_STEPS:
        if skipper in keys:
            return f"{skipper} skips or recompiles steps of this model: connect the model before that node"
    # the clones hang on the patcher until a sampling puts them into its options
    if options.get("multigpu_clones") or patcher.additional_models.get("multigpu"):
        return "the model runs on several GPUs and a drag is one picture: remove the MultiGPU node"
    net = patcher.model.diffusion_model
    if "forward_orig" in net.__dict__:
        owner = getattr(net.__dict__["forward_orig"], "__module__", "another pack")
        return f"{owner} replaced FLUX's forward_orig, so that our hooks are not reached: restart without it"
    return None
