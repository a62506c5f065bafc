"""Runs in the host's own Python: ComfyUI loads the embedded models by its own loaders and computes with them.

    python host_probe.py COMFYUI JOB.json

JOB.json names the files of the models, an .npz of inputs and the two files to write: arrays (.npz), facts
(.json). Imports nothing of this repository but standins.py, and keeps it off this process's sys.path.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from standins import on_cpu


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
    kept = on_cpu(comfyui)
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
