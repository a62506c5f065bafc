"""Reading models from disk: single files, folders, names of weights. Tiny random networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from drag_core.backends import keys, single_file
from drag_core.backends.diffusers_flux import DiffusersFlux
from drag_core.backends.load import load_model, read_vae
from drag_core.types import DragError
from tests.core.test_backends import (
    sd_file,
    tiny_flux,
    tiny_unet,
)


def test_a_single_sd_file_is_the_network_it_was(tmp_path: Path) -> None:
    unet, vae = sd_file(tmp_path / "sd.safetensors")
    text = torch.randn(1, 3, 64)
    save_file({"prompt_embeds": text}, tmp_path / "text.safetensors")
    model = load_model(str(tmp_path / "sd.safetensors"), text=tmp_path / "text.safetensors")
    z, image = torch.randn(1, 4, 8, 8), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            model.backbone.predict(z, 400.0), unet.eval()(z, 400, text).sample, rtol=1e-5, atol=1e-5
        )
        want = vae.eval().encode(image * 2 - 1).latent_dist.mode() * single_file.SD_SCALE
    torch.testing.assert_close(model.codec.encode(image), want, rtol=1e-5, atol=1e-5)
    with pytest.raises(DragError, match="no text encoder"):
        load_model(str(tmp_path / "sd.safetensors"))


def test_the_empty_prompt_through_a_files_own_clip() -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers is missing: pip install transformers"
    )
    net = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=100,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=1,
            max_position_embeddings=9,
            bos_token_id=98,
            eos_token_id=99,
            pad_token_id=99,
            hidden_act="quick_gelu",
        )
    ).eval()
    start = "cond_stage_model.transformer."
    own = {k if k.startswith("text_model.") else f"text_model.{k}": v for k, v in net.state_dict().items()}
    weights = {start + k: v for k, v in own.items()}
    tokens = torch.tensor([[98] + [99] * 8])
    with torch.no_grad():
        want = net(tokens).last_hidden_state
    got = single_file.clip_text(weights, "", "x")
    assert got is not None
    torch.testing.assert_close(got, want)
    with pytest.raises(DragError, match="no tokenizer"):
        single_file.clip_text(weights, "a cat", "x")


def test_a_target_prompt_conditions_the_drag_and_not_the_inversion(tmp_path: Path) -> None:
    sd_file(tmp_path / "sd.safetensors")
    text = {"prompt_embeds": torch.randn(1, 3, 64), "target_prompt_embeds": torch.randn(1, 3, 64)}
    save_file(text, tmp_path / "text.safetensors")
    model = load_model(str(tmp_path / "sd.safetensors"), text=tmp_path / "text.safetensors")
    z = torch.randn(1, 4, 8, 8)
    assert model.target is not None
    assert not torch.equal(model.target.predict(z, 400.0), model.backbone.predict(z, 400.0))
    save_file({"prompt_embeds": text["prompt_embeds"]}, tmp_path / "text.safetensors")
    assert load_model(str(tmp_path / "sd.safetensors"), text=tmp_path / "text.safetensors").target is None


def test_a_single_flux_file_is_the_network_it_was(tmp_path: Path) -> None:
    net = tiny_flux()
    original = keys.flux_to_original(net.state_dict(), 2, 2)
    save_file({k: v.contiguous() for k, v in original.items()}, tmp_path / "flux.safetensors")
    text, pooled = torch.randn(1, 3, 24), torch.randn(1, 20)
    save_file({"prompt_embeds": text, "pooled_prompt_embeds": pooled}, tmp_path / "text.safetensors")
    vae = AutoencoderKL(block_out_channels=(32,), latent_channels=4)
    vae.save_pretrained(tmp_path / "vae")
    model = load_model(
        str(tmp_path / "flux.safetensors"), text=tmp_path / "text.safetensors", vae=tmp_path / "vae"
    )
    z = torch.randn(1, 4, 6, 8)
    with torch.no_grad():
        torch.testing.assert_close(
            model.backbone.predict(z, 0.4), DiffusersFlux(net, text, pooled).predict(z, 0.4)
        )
    # without a target prompt it edits under the same one, at DragFlow's guidance for editing
    assert isinstance(model.backbone, DiffusersFlux) and isinstance(model.target, DiffusersFlux)
    assert (model.backbone.guidance, model.target.guidance) == (1.0, 3.5)
    assert model.target.net is model.backbone.net and torch.equal(model.target.text, model.backbone.text)
    with pytest.raises(DragError, match="--vae"):
        load_model(str(tmp_path / "flux.safetensors"), text=tmp_path / "text.safetensors")


def test_a_diffusers_folder(tmp_path: Path) -> None:
    unet = tiny_unet()
    unet.save_pretrained(tmp_path / "unet")
    AutoencoderKL(block_out_channels=(32,), latent_channels=4).save_pretrained(tmp_path / "vae")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    text = torch.randn(1, 3, 24)
    save_file({"prompt_embeds": text}, tmp_path / "text.safetensors")
    model = load_model(str(tmp_path), text=tmp_path / "text.safetensors")
    z = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(model.backbone.predict(z, 3.0), unet.eval()(z, 3, text).sample)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", "neither"),
        ("model.ckpt", "not a .safetensors"),
        ("broken.safetensors", "not a valid"),
        ("odd.safetensors", "neither a Stable"),
    ],
)
def test_bad_models_are_one_sentence(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"x")
    (tmp_path / "broken.safetensors").write_bytes(b"not safetensors at all")
    save_file({"a": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(DragError, match=words) as e:
        load_model(str(tmp_path / name))
    assert "\n" not in str(e.value)
    with pytest.raises(DragError):
        read_vae(tmp_path / "odd.safetensors", "sd")


def test_key_tables_agree_with_diffusers_own_converters() -> None:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    unet = tiny_unet()
    table = keys.unet_blocks(2, (1, 0))
    original = keys.rename(unet.state_dict(), {new: old for old, new in table.items()})
    theirs = convert_ldm_unet_checkpoint(
        {keys.LDM_PREFIX + k: v for k, v in original.items()}, dict(unet.config)
    )
    ours = keys.rename(original, table)
    assert theirs.keys() == ours.keys() and all(torch.equal(theirs[k], ours[k]) for k in ours)
    flux = tiny_flux().state_dict()
    back = keys.flux_from_original(keys.flux_to_original(flux, 2, 2))
    assert back.keys() == flux.keys() and all(torch.equal(back[k], flux[k]) for k in flux)
