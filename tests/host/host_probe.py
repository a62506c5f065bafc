"""Runs in the host's own Python: ComfyUI loads the embedded models by its own loaders and computes with them.

    python host_probe.py COMFYUI JOB.json

JOB.json names the files of the models, an .npz of inputs and the two files to write: arrays (.npz), facts
(.json). Imports nothing of this repository, which therefore stays off this process's sys.path.
"""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

# of torchvision's operators, the two that its Python part asks for while it is imported
OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def forget(package: str) -> None:
    for name in [n for n in sys.modules if n == package or n.startswith(package + ".")]:
        del sys.modules[name]


def stand_in() -> list[Any]:
    """Where torchvision or torchaudio don't load beside this torch (a CPU build next to theirs for CUDA),
    enough of them that `import comfy.sd` succeeds; nothing here calls them. The result must be kept.
    """
    import torch

    kept: list[Any] = []
    try:
        import torchvision  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        forget("torchvision")
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in OPERATORS:
            library.define(schema)
        kept.append(library)
        import torchvision  # noqa: F401
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        forget("torchaudio")
        whole = ModuleType("torchaudio")
        for name in ("functional", "transforms"):
            part = ModuleType(f"torchaudio.{name}")
            part.__spec__ = ModuleSpec(part.__name__, None)
            sys.modules[part.__name__] = part
            setattr(whole, name, part)
        whole.__spec__, whole.__path__ = ModuleSpec("torchaudio", None, is_package=True), []
        sys.modules["torchaudio"] = whole
    return kept


def flux(job: dict[str, Any], given: dict[str, Any], facts: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Velocities of the diffusion model, bare and through the host's wrapper, in float32; and that model."""
    import comfy.sd
    import torch

    patcher = comfy.sd.load_diffusion_model(job["flux"], model_options={"dtype": torch.float32})
    model = patcher.model
    net, config = model.diffusion_model, model.model_config
    own = comfy.sd.load_diffusion_model(job["flux"]).model  # as its loader node does, in its own precision
    facts["flux"] = {
        "class": f"{type(model).__module__}.{type(model).__name__}",
        "network": f"{type(net).__module__}.{type(net).__name__}",
        "config": f"{type(config).__module__}.{type(config).__name__}",
        "latent": type(model.latent_format).__name__,
        "guidance": bool(net.params.guidance_embed),
        "hidden": net.params.hidden_size,
        "dtype": str(model.get_dtype()),
        "own dtype": str(own.get_dtype_inference()),
    }
    z, t = given["z"], given["t"]
    cond = {"y": given["y"], "guidance": given["guidance"]}
    out = {"velocity": net.float()(z, t, context=given["text"], **cond)}
    for name, m in (("wrapped", model), ("own", own)):
        clean = m.apply_model(z, t, c_crossattn=given["text"], **cond)
        out[name] = (z - clean.float()) / t  # the host predicts z - sigma v
    return out, model


def vae(job: dict[str, Any], given: dict[str, Any], facts: dict[str, Any], model: Any) -> dict[str, Any]:
    """The picture's latent as the FLUX model sees it, and the picture of such a latent: what VAE Encode,
    KSampler and VAE Decode do in a workflow.
    """
    import comfy.sd
    import comfy.utils

    weights, metadata = comfy.utils.load_torch_file(job["vae"], return_metadata=True)  # as its VAELoader does
    loaded = comfy.sd.VAE(sd=weights, metadata=metadata)
    loaded.throw_exception_if_invalid()
    stage = loaded.first_stage_model
    facts["vae"] = {
        "class": f"{type(stage).__module__}.{type(stage).__name__}",
        "channels": loaded.latent_channels,
        "dtype": str(loaded.vae_dtype),
    }
    latent = model.process_latent_in(loaded.encode(given["picture"].movedim(1, -1)))
    picture = loaded.decode(model.process_latent_out(given["z"])).movedim(-1, 1)
    return {"latent": latent, "decoded": picture}


def main() -> None:
    comfyui, job_file = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    sys.path[0] = str(comfyui)  # in place of this file's folder
    kept = stand_in()
    import comfy.cli_args

    comfy.cli_args.args.cpu = True  # before comfy.model_management, which reads it when imported
    import comfyui_version
    import numpy as np
    import torch

    job = json.loads(job_file.read_text())
    given = {k: torch.from_numpy(v) for k, v in np.load(job["inputs"]).items()}
    facts: dict[str, Any] = {"version": comfyui_version.__version__, "torch": torch.__version__}
    with torch.inference_mode():
        out, model = flux(job, given, facts)
        out |= vae(job, given, facts, model)
    np.savez(job["arrays"], **{k: v.detach().float().cpu().numpy() for k, v in out.items()})
    facts["path"] = sys.path
    Path(job["facts"]).write_text(json.dumps(facts))
    del kept


if __name__ == "__main__":
    main()
