"""What the host's live preview shows of the embedded models: their own autoencoder's colours."""

from __future__ import annotations

import comfy.latent_formats
import latent_preview
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from comfy.cli_args import LatentPreviewMethod
from region_drag_editing.nodes.example import DragExampleScene
from region_drag_editing.nodes.host.loaders import load_embedded


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(a - b).mean()))


@pytest.mark.parametrize("name", ["embedded-sd", "embedded-flux"])
def test_the_preview_has_the_pictures_colours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """FLUX's own factors give 8 to 12 dB here: another autoencoder's."""
    monkeypatch.setattr(latent_preview.args, "preview_method", LatentPreviewMethod.Latent2RGB)
    with torch.inference_mode():
        model, _, vae = load_embedded(name)
        image = DragExampleScene.execute("move", 3, "lit").args[0]
        z = model.model.process_latent_in(vae.encode(image))
        previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
        shown = np.asarray(previewer.decode_latent_to_preview(z)).astype(np.float64) / 255
    seen = F.avg_pool2d(image.movedim(-1, 1), 8)[0].movedim(0, -1).double().numpy()
    assert shown.shape == (32, 32, 3)
    print(f"{name}: {psnr(shown, seen):.1f} dB")
    assert psnr(shown, seen) >= 26
    own = comfy.latent_formats.Flux()
    assert own.taesd_decoder_name and own.latent_rgb_factors != model.model.latent_format.latent_rgb_factors
