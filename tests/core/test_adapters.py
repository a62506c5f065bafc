"""Image adapters: files with the released key names against plain formulas and against diffusers' modules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from drag_core.adapters.attention import Strength, looked_at, token_mask
from drag_core.adapters.files import read
from drag_core.adapters.instant_character import (
    DINO_LAYERS,
    SIGLIP_LAYERS,
    Character,
    Subject,
    cut_out,
    features,
    sampling_weights,
    views,
)
from drag_core.adapters.ip_adapter import fixed, tokens
from drag_core.adapters.resampler import resample
from drag_core.adapters.siglip import head_of, pooled
from drag_core.types import DragError
from tests.host.inside import adapter_oracle as plain

LIMIT = 1e-5


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def error(got: Tensor, want: Tensor) -> float:
    assert got.shape == want.shape
    return float((got - want).abs().max() / want.abs().max())


Q = noise(2, 2, 15, 128, seed=3)  # batch, heads, tokens, channels
SUBJECT = Subject(
    noise(1, 3 * plain.PATCHES, plain.WIDE, seed=5),
    noise(1, plain.PATCHES, plain.WIDE, seed=6),
    noise(1, 4 * plain.PATCHES, plain.WIDE, seed=7),
)


@pytest.mark.parametrize("count", [4, 16])
@pytest.mark.parametrize("pictures", [1, 3])
def test_xlabs(count: int, pictures: int) -> None:
    weights, embeds = plain.xlabs(tokens=count), noise(pictures, plain.CLIP, seed=4)
    file = read(weights)
    assert (file.kind, file.layers, file.hidden, file.context) == ("xlabs", 2, 256, plain.CONTEXT)
    wanted = plain.xlabs_tokens(weights, embeds)
    assert wanted.shape[1] == count * pictures
    assert error(tokens(file, embeds), wanted) <= LIMIT
    network = fixed(file, embeds)
    assert network.after == "block"
    for layer in range(2):
        got = looked_at(network, layer, Q, 0.5)
        assert error(got, plain.share("xlabs", weights, wanted, layer, Q, Q)) <= LIMIT


def test_instantx() -> None:
    weights, embeds = plain.instantx(), noise(2, plain.SIGLIP, seed=4)
    file = read(plain.nested(weights))  # as its .bin file is
    assert (file.kind, file.layers, file.hidden) == ("instantx", 4, 256)
    wanted = plain.instantx_tokens(weights, embeds)
    assert error(tokens(file, embeds), wanted) <= LIMIT
    network = fixed(file, embeds)
    assert network.after == "attention"
    for layer in range(4):
        got = looked_at(network, layer, Q, 0.5)
        assert error(got, plain.share("instantx", weights, wanted, layer, Q, Q)) <= LIMIT


def test_siglips_pooling() -> None:
    weights, patches = plain.pooling(), noise(2, plain.PATCHES, plain.SIGLIP, seed=4)
    got = pooled(head_of({**weights, "vision_model.x": noise(1)}), patches)
    assert error(got, plain.pooled(weights, patches)) <= LIMIT
    at = "vision_model.head.attention"
    module = nn.MultiheadAttention(plain.SIGLIP, 2, batch_first=True)
    module.load_state_dict({n.removeprefix(f"{at}."): w for n, w in weights.items() if n.startswith(at)})
    probe = weights["vision_model.head.probe"].expand(2, -1, -1)
    x = module(probe, patches, patches)[0]
    y = torch.nn.functional.layer_norm(
        x, x.shape[-1:], *(weights[f"vision_model.head.layernorm.{p}"] for p in ("weight", "bias")), 1e-6
    )
    for i, name in enumerate(("fc1", "fc2")):
        y = (
            y @ weights[f"vision_model.head.mlp.{name}.weight"].T
            + weights[f"vision_model.head.mlp.{name}.bias"]
        )
        y = torch.nn.functional.gelu(y, approximate="tanh") if i == 0 else y
    assert error(got, (x + y)[:, 0].detach()) <= LIMIT
    with pytest.raises(DragError, match=r"the SigLIP file is not complete: it lacks vision_model.head.probe"):
        head_of({"vision_model.x": noise(1)})


def test_instant_character() -> None:
    weights = plain.character()
    file = read(plain.nested(weights))
    assert (file.kind, file.layers, file.hidden, file.context) == ("character", 4, 256, plain.CONTEXT)
    wanted = plain.character_features(weights, SUBJECT.shallow, SUBJECT.deep, SUBJECT.quarters)
    got = features(file.weights, SUBJECT)
    assert got.shape == (1, 2 * plain.PATCHES, plain.WIDE) and error(got, wanted) <= LIMIT
    network = Character(sampling_weights(file), got)
    for t in (0.9, 0.25, 0.9):
        read_at_t = plain.character_tokens(weights, wanted, t)
        assert error(network.tokens(t, Q), read_at_t) <= LIMIT
        for layer in range(4):
            seen = looked_at(network, layer, Q, t)
            assert error(seen, plain.share("character", weights, read_at_t, layer, Q, Q)) <= LIMIT
    assert error(network.tokens(0.25, Q), network.tokens(0.9, Q)) > 0.01  # the time counts


def test_instant_characters_layers_are_the_released_hidden_states() -> None:
    """The released code takes hidden states 7, 13, 26 of SigLIP's and 9, 19, 29 of DINOv2's encoder, counted
    with the embedding as number 0; here blocks are counted, whose k-th says k.
    """
    for blocks, released, ours in ((27, (7, 13, 26), SIGLIP_LAYERS), (40, (9, 19, 29), DINO_LAYERS)):
        hidden_states = ["embedding", *range(blocks)]
        assert tuple(hidden_states[n] for n in released) == ours


def test_diffusers_blocks_take_the_same_names_and_give_the_same() -> None:
    """InstantCharacter's projector is made of diffusers' transformer blocks, XLabs' of its processor."""
    attention = pytest.importorskip("diffusers.models.attention")
    embeddings = pytest.importorskip("diffusers.models.embeddings")
    weights = plain.character()
    x = SUBJECT.deep
    for i in range(2):
        block = attention.BasicTransformerBlock(
            plain.WIDE,
            plain.WIDE // 64,
            64,
            cross_attention_dim=plain.WIDE,
            activation_fn="geglu",
            norm_type="layer_norm",
            norm_eps=1e-6,
        )
        at = f"image_proj.cross_layer_blocks.{i}."
        block.load_state_dict({n.removeprefix(at): w for n, w in weights.items() if n.startswith(at)})
        x = block(x, encoder_hidden_states=SUBJECT.shallow)
    for name in ("fc1", "fc2"):
        at = f"image_proj.proj_cross_layer.{name}"
        x = x @ weights[f"{at}.weight"].T + weights[f"{at}.bias"]
        x = torch.nn.functional.gelu(x, approximate="tanh") if name == "fc1" else x
    assert error(features(weights, SUBJECT)[:, plain.PATCHES :], x.detach()) <= LIMIT

    at = "image_proj.resampler.time_embedding."
    time = embeddings.TimestepEmbedding(32, 128, act_fn="silu")
    time.load_state_dict({n.removeprefix(at): w for n, w in weights.items() if n.startswith(at)})
    wave = embeddings.Timesteps(32, True, 0)(torch.tensor([700.0]))
    from drag_core.adapters.parts import Part
    from drag_core.adapters.resampler import _time

    assert error(_time(Part(weights, "image_proj.resampler"), 0.7, Q), time(wave).detach()) <= LIMIT

    flux = pytest.importorskip("diffusers.models.transformers.transformer_flux")
    processor = flux.FluxIPAdapterAttnProcessor(256, plain.CONTEXT, num_tokens=(4,), scale=0.6)
    ip = plain.xlabs()
    at = "double_blocks.1.processor.ip_adapter_double_stream_{}_proj.{}"
    processor.load_state_dict(
        {f"to_{p}_ip.0.{end}": ip[at.format(p, end)] for p in "kv" for end in ("weight", "bias")}
    )
    module = flux.FluxAttention(256, dim_head=128, heads=2, added_kv_proj_dim=256, bias=True)
    x, text = noise(1, 15, 256, seed=8), noise(1, 5, 256, seed=9)
    file = read(ip)
    seen = tokens(file, noise(1, plain.CLIP, seed=4))
    q = module.norm_q(module.to_q(x).unflatten(-1, (2, 128))).transpose(1, 2).detach()
    with torch.no_grad():
        wanted = processor(module, x, text, ip_hidden_states=[seen])[2]
    got = 0.6 * looked_at(fixed(file, noise(1, plain.CLIP, seed=4)), 1, q, 0.5)
    assert error(got, wanted) <= LIMIT


@pytest.mark.parametrize("kind", ["xlabs", "character"])
def test_gradients_pass_the_query_and_nothing_else(kind: str) -> None:
    if kind == "xlabs":
        network: Any = fixed(read(plain.xlabs()), noise(1, plain.CLIP).double())
    else:
        network = Character(plain.character(), features(plain.character(), SUBJECT))
    q = noise(1, 2, 3, 128, seed=2).double().requires_grad_()
    way = noise(1, 2, 3, 128, seed=8).double()

    def total(x: Tensor) -> Tensor:
        return looked_at(network, 1, x, 0.5).square().sum()

    (gradient,) = torch.autograd.grad(total(q), q)
    h = 1e-5  # with 1e-6 the rounding of the sum alone was 1.4e-6 of the slope on a CPU without AVX
    slope = float(total(q.detach() + h * way) - total(q.detach() - h * way)) / (2 * h)
    assert abs(slope / float((gradient * way).sum()) - 1) <= 1e-6


def without(weights: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    return {n: w for n, w in weights.items() if n not in names}


@pytest.mark.parametrize(
    ("loaded", "said"),
    [
        (
            lambda: without(plain.xlabs(), "ip_adapter_proj_model.norm.bias"),
            "the XLabs IP-Adapter file is not complete: it lacks ip_adapter_proj_model.norm.bias$",
        ),
        (
            lambda: {n: w for n, w in plain.xlabs().items() if not n.startswith("ip_adapter_proj_model")},
            r"lacks ip_adapter_proj_model.proj.weight, .*norm.bias$",
        ),
        (
            lambda: plain.nested(without(plain.instantx(), "ip_adapter.2.to_v_ip.weight")),
            "the InstantX IP-Adapter file is not complete: it lacks ip_adapter.2.to_v_ip.weight",
        ),
        (
            lambda: {n: w for n, w in plain.character().items() if "resampler" not in n},
            r"the InstantCharacter file .* lacks image_proj.resampler.latents.* and 20 more$",
        ),
        (
            lambda: {n: w for n, w in plain.character().items() if ".0.to_kv" not in n},
            r"it lacks (image_proj.resampler.layers.[01].0.to_kv.weight(, )?){2}$",
        ),
        (lambda: {"unet": {"a": noise(1)}, "b": noise(1)}, r"is no adapter for FLUX .* it has b, unet.a$"),
        (lambda: {"epoch": 3}, "it has no tensors$"),
        (lambda: plain.xlabs(hidden=100), r"has shape \(100, 32\) and FLUX's width is a multiple of 128"),
    ],
)
def test_wrong_files_say_what_is_missing(loaded: Callable[[], dict[str, Any]], said: str) -> None:
    with pytest.raises(DragError, match=said):
        read(loaded())


def test_wrong_embeddings_are_one_sentence() -> None:
    with pytest.raises(DragError, match=r"takes image embeddings of width 24 and these have 30: .*CLIP-L"):
        tokens(read(plain.xlabs()), noise(1, 30))
    with pytest.raises(DragError, match=r"takes features of width 256 and these have 8"):
        features(plain.character(), Subject(*(noise(1, n, 8) for n in (6, 2, 8))))


def test_strength_over_the_levels() -> None:
    assert [Strength(0.8).at(t) for t in (0.0, 0.4, 1.0)] == [0.8, 0.8, 0.8]
    part = Strength(0.8, (0.2, 0.6))
    assert [part.at(t) for t in (0.19, 0.2, 0.6, 0.61)] == [0.0, 0.8, 0.8, 0.0]
    linear, cosine = (Strength(0.8, (0.2, 0.6), fade) for fade in ("linear", "cosine"))  # type: ignore[arg-type]
    assert math.isclose(linear.at(0.6), 0.8) and math.isclose(linear.at(0.4), 0.4)
    assert math.isclose(cosine.at(0.4), 0.4) and math.isclose(cosine.at(0.5), 0.8 * (1 + 0.5**0.5) / 2)
    assert abs(linear.at(0.2)) < 1e-9 and abs(cosine.at(0.2)) < 1e-9


def test_the_mask_is_a_share_of_every_token() -> None:
    mask = torch.zeros(32, 48)
    mask[:16, 16:24] = 1
    assert token_mask(mask, 2, 3).flatten().tolist() == [0, 0.5, 0, 0, 0, 0]


def test_views_and_cut_out() -> None:
    flat = torch.full((1, 40, 60, 3), 0.25)
    flat[:, :20, 30:] = 0.75  # the upper right quarter
    five = views(flat, 16)
    assert five.shape == (5, 16, 16, 3)
    quarters = five[1:, 8, 8, 0]
    assert torch.allclose(quarters, (255 * torch.tensor([0.25, 0.75, 0.25, 0.25])).round() / 255)
    assert abs(float(five[0, 4, 12, 0]) - 191 / 255) <= 1e-6  # the whole one, squeezed to a square
    mask = torch.zeros(40, 60)
    mask[10:30, 5:15] = 1
    cut = cut_out(flat, mask, margin=0.1)
    assert cut.shape == (1, 24, 24, 3)
    inside = cut[0, 2:22, 7:17]
    assert bool((inside == 0.25).all()) and float(cut.sum()) == 3 * (24 * 24 - 200 * 0.75)
    with pytest.raises(DragError, match="mask is empty"):
        cut_out(flat, torch.zeros(40, 60))


def test_half_precision_stays_near() -> None:
    weights = {n: w.bfloat16() for n, w in plain.character().items()}
    got = resample(weights, features(weights, SUBJECT).bfloat16(), 0.5).float()
    exact = resample(plain.character(), features(plain.character(), SUBJECT), 0.5)
    assert error(got, exact) <= 0.1
