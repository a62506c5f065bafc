"""The model of gpu_host.py, and whether its passes are recorded. Run in the host's own Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def unet(small: bool) -> tuple[Any, Any, Any]:
    """MODEL, CONDITIONING and a latent: Stable Diffusion 1.5 with random weights, in float16."""
    import comfy.memory_management
    import comfy.model_management as mm
    import comfy.model_patcher
    import comfy.supported_models
    import torch

    given = {
        "use_checkpoint": False, "image_size": 32, "out_channels": 4, "use_spatial_transformer": True,
        "legacy": False, "in_channels": 4, "model_channels": 32 if small else 320, "num_heads": 8,
        "use_temporal_attention": False, "use_temporal_resblock": False, "adm_in_channels": None,
        "num_res_blocks": [2] * 4, "transformer_depth": [1] * 6 + [0, 0], "channel_mult": [1, 2, 4, 4],
        "transformer_depth_middle": 1, "use_linear_in_transformer": False, "context_dim": 768,
        "transformer_depth_output": [1] * 9 + [0] * 3,
    }  # fmt: skip
    config = comfy.supported_models.SD15(given)
    config.set_inference_dtype(torch.float32 if small else torch.float16, None)
    device = mm.get_torch_device()
    dynamic = comfy.model_patcher.CoreModelPatcher is not comfy.model_patcher.ModelPatcher
    lazy = comfy.memory_management.aimdo_enabled
    with torch.inference_mode():
        comfy.memory_management.aimdo_enabled = False  # else layers have no weights before a file is read
        model = config.get_model({}, "", device="cpu" if dynamic else device)
        comfy.memory_management.aimdo_enabled = lazy
        noise = torch.Generator(device="cpu" if dynamic else device).manual_seed(0)
        for name, p in model.diffusion_model.named_parameters():
            if p.ndim >= 2:
                p.normal_(0, 0.7 / p[0].numel() ** 0.5, generator=noise)
            else:
                p.fill_(0.0 if name.endswith("bias") else 1.0)
        offload = torch.device("cpu") if dynamic else device
        patcher = comfy.model_patcher.CoreModelPatcher(model, load_device=device, offload_device=offload)
        side = 16 if small else 64
        z = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(1))
        text = torch.randn(1, 77, 768, generator=torch.Generator().manual_seed(2))
        return patcher, [[text, {}]], z


@contextmanager
def recorded(wanted: bool, mode: str = "thread_local") -> Iterator[None]:
    """Recordings allowed or not.

    mode: what other threads may do meanwhile; "unchecked": the usual, and waits are not looked for before.
    """
    import torch
    from region_drag_editing.drag_core.backends.recorders import CudaRecorder
    from region_drag_editing.nodes.host import graphs

    class Unchecked(CudaRecorder):
        def warm(self, work: Any) -> None:
            with self._aside():
                work()

    before = graphs.WANTED, graphs.recorder_for
    graphs.WANTED = wanted
    if torch.cuda.is_available():
        usual = "thread_local" if mode == "unchecked" else mode
        kind = Unchecked if mode == "unchecked" else CudaRecorder
        graphs.recorder_for = lambda device: kind(device, usual)
    try:
        yield
    finally:
        graphs.WANTED, graphs.recorder_for = before
