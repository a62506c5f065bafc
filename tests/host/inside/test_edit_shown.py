"""What Drag Edit shows while it runs, and at which size it shows the picture to the model."""

from __future__ import annotations

from typing import Any

import comfy.model_sampling
import comfy.utils
import hookless
import latent_preview
import pytest
from comfy.cli_args import LatentPreviewMethod
from region_drag_editing.nodes.host import sizes
from region_drag_editing.nodes.host.sizes import side_of
from test_edit import drawn, edited, loaded, scene


@pytest.mark.parametrize(("recipe", "count"), [("auto", 3), ("dragflow", 2)])
def test_one_bar_with_the_picture_in_it(recipe: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never goes back, and a preview is the picture with the crop in its place."""
    monkeypatch.setattr(latent_preview.args, "preview_method", LatentPreviewMethod.Latent2RGB)
    told: list[tuple[float, float]] = []
    shown: list[Any] = []

    def hook(value: float, total: float, preview: Any, node_id: Any = None) -> None:
        told.append((value, total))
        if preview is not None:
            shown.append(preview[1])

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    _, regions = drawn(900, 450)
    edited(regions, "embedded-flux", recipe=recipe, count=count)
    assert told == sorted(told) and len({total for _, total in told}) == 1 and told[-1][0] == told[-1][1]
    assert shown and {x.size for x in shown} == {(768, 384)}


def test_a_preview_that_another_pack_shows_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """VideoHelperSuite's and KJNodes' previewers give the host nothing to send."""
    monkeypatch.setattr(latent_preview.args, "preview_method", LatentPreviewMethod.Latent2RGB)
    given = latent_preview.LatentPreviewer
    monkeypatch.setattr(given, "decode_latent_to_preview_image", lambda *_: None)
    _, report = edited(scene()[1])
    assert report["model_calls"] == 4


@pytest.mark.parametrize(
    ("width", "v", "side"),
    [(768, 0, 512), (768, 1, 512), (1024, 0, 512), (1024, 1, 768), (2048, 0, 1024)],
)
def test_the_size_of_a_stable_diffusion(
    width: int, v: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the width of its prompt's tokens, and 2.x by its prediction."""
    kind = comfy.model_sampling.V_PREDICTION if v else comfy.model_sampling.EPS
    monkeypatch.setattr(sizes, "preset_for", lambda _: None)
    monkeypatch.setattr(sizes, "context_width", lambda _: width)
    monkeypatch.setattr(sizes, "sampling_of", lambda _: kind())
    assert side_of(loaded("embedded-sd")[0]) == side


def test_what_size_other_models_are_shown() -> None:
    assert side_of(loaded("embedded-sd")[0]) == side_of(loaded("embedded-flux")[0]) == 256
    assert side_of(hookless.loaded("PixArt")) == 1024
