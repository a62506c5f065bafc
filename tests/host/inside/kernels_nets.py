"""Tiny random networks of the host's own classes whose attention calls comfy-kitchen's fused kernels, as a
loader makes them: weights in inference mode, ops that fetch them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.ldm.cosmos.predict2
import comfy.ldm.ernie.model
import comfy.ldm.krea2.model
import comfy.ldm.lumina.model
import comfy.ops
import tiny
import torch
from torch import Tensor


@dataclass(frozen=True)
class Net:
    """`make` with the host's ops; `blocks`: the list whose middle one is looked at; `latent` and `text`
    shapes; more arguments of forward.
    """

    make: Callable[..., Any]
    blocks: str
    latent: tuple[int, ...]
    text: tuple[int, ...]
    more: dict[str, Any]

    def build(self, seed: int = 4) -> Any:
        with torch.inference_mode(), tiny.with_weights():
            net = self.make(device="cpu", dtype=torch.float32, operations=comfy.ops.manual_cast)
            g = torch.Generator().manual_seed(seed)
            for name, p in net.named_parameters():
                w = torch.randn(p.shape, generator=g)
                if p.ndim >= 2:
                    w = w / p[0].numel() ** 0.5
                else:
                    w = 0.02 * w if name.endswith("bias") else 1 + 0.1 * w
                p.copy_(w)
        return net.eval().requires_grad_(False)

    def middle(self, net: Any) -> Any:
        blocks = getattr(net, self.blocks)
        return blocks[len(blocks) // 2]

    def run(self, net: Any, z: Tensor) -> Tensor:
        """The middle block's output at z, the whole network being run."""
        seen: list[Tensor] = []
        handle = self.middle(net).register_forward_hook(lambda _, __, out: seen.append(out))
        try:
            net(z, torch.tensor([0.6]), tiny.noise(*self.text, seed=12), **self.more)
        finally:
            handle.remove()
        return seen[0]


def _krea(**kw: Any) -> Any:
    sizes = {"features": 64, "tdim": 16, "txtdim": 32, "heads": 2, "kvheads": 1, "layers": 3}
    sizes |= {"txtlayers": 2, "txtheads": 2, "txtkvheads": 2}
    return comfy.ldm.krea2.model.SingleStreamDiT(**sizes, **kw)


def _z_image(**kw: Any) -> Any:
    sizes = {
        "in_channels": 16,
        "dim": 256,
        "n_layers": 3,
        "n_refiner_layers": 1,
        "n_heads": 4,
        "n_kv_heads": 4,
    }
    sizes |= {"axes_dims": (16, 24, 24), "axes_lens": (64, 64, 64), "rope_theta": 256.0, "cap_feat_dim": 32}
    sizes |= {"ffn_dim_multiplier": 8 / 3, "qk_norm": True, "z_image_modulation": True, "time_scale": 1000.0}
    return comfy.ldm.lumina.model.NextDiT(**sizes, pad_tokens_multiple=8, **kw)


def _ernie(**kw: Any) -> Any:
    sizes = {"hidden_size": 64, "num_attention_heads": 2, "num_layers": 3, "ffn_hidden_size": 128}
    sizes |= {"in_channels": 16, "out_channels": 16, "text_in_dim": 32, "rope_axes_dim": (8, 12, 12)}
    return comfy.ldm.ernie.model.ErnieImageModel(**sizes, **kw)


def _anima(**kw: Any) -> Any:
    """The trunk, which is Cosmos-Predict2's; Anima adds a translation of its prompt before it."""
    sizes = {"max_img_h": 48, "max_img_w": 48, "max_frames": 8, "in_channels": 16, "out_channels": 16}
    sizes |= {"patch_spatial": 2, "patch_temporal": 1, "model_channels": 64, "num_blocks": 3, "num_heads": 2}
    sizes |= {"crossattn_emb_channels": 32, "use_adaln_lora": True, "adaln_lora_dim": 8}
    how = {"concat_padding_mask": True, "pos_emb_cls": "rope3d", "pos_emb_learnable": True}
    how |= {"pos_emb_interpolation": "crop", "rope_enable_fps_modulation": False}
    return comfy.ldm.cosmos.predict2.MiniTrainDIT(**sizes, **how, **kw)


NETS = {
    "Krea 2": Net(_krea, "blocks", (1, 16, 8, 12), (1, 5, 64), {}),
    "Z-Image": Net(_z_image, "layers", (1, 16, 8, 12), (1, 5, 32), {"num_tokens": 5}),
    "ERNIE": Net(_ernie, "layers", (1, 16, 8, 12), (1, 5, 32), {}),
    "Anima": Net(_anima, "blocks", (1, 16, 1, 8, 12), (1, 5, 32), {}),
}
