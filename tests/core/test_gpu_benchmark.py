"""The GPU benchmark's logic, on the CPU with tiny networks: what it times, in what order, what it prints."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel, UNet2DConditionModel

from benchmarks import clock, counts, gpu, readme, savings


def test_rounds_are_interleaved_and_the_median_is_taken() -> None:
    order: list[str] = []
    times = {"a": iter([900.0, 900.0, 1.0, 5.0, 2.0]), "b": iter([900.0, 900.0, 7.0, 7.0, 100.0])}

    def way(name: str) -> clock.Way:
        def run() -> float:
            order.append(name)
            return next(times[name])

        return run

    found = clock.interleaved({n: way(n) for n in times}, rounds=3, warm=2)
    assert found == {"a": 2.0, "b": 7.0}
    assert "".join(order) == "baabbaabba"


@pytest.mark.parametrize(
    ("card", "peak"),
    [("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA L4", 121), ("NVIDIA L40S", 362),
     ("NVIDIA GeForce RTX 4090", 165), ("Radeon", None)],
)  # fmt: skip
def test_peaks(card: str, peak: float | None) -> None:
    assert clock.peak_flops(card) == peak


def test_share_of_the_peak() -> None:
    rows = clock.timings({"a": lambda: 100.0}, {"a": 9.89}, "cpu", "NVIDIA H100", rounds=1)
    assert rows[0].share == pytest.approx(0.1) and rows[0].ms == 100
    text = clock.markdown("NVIDIA H100", {"sd": rows})
    assert "| a | 100.0 | 10.0 | 0.00 | 10 % |" in text and "NVIDIA H100" in text
    assert clock.timings({"a": lambda: 1.0}, {"a": 1.0}, "cpu", "?", rounds=1)[0].share is None


def test_sd_runs_every_way() -> None:
    torch.manual_seed(0)
    net = UNet2DConditionModel(
        sample_size=16, block_out_channels=(8, 8, 8, 8), norm_num_groups=4, cross_attention_dim=8,
        attention_head_dim=2, layers_per_block=1,
    )  # fmt: skip
    rows = gpu.sd("cpu", torch.float32, "?", 1, net)
    assert [r.name for r in rows][0] == "GoodDrag restated" and len(rows) == 5
    assert all(r.ms > 0 for r in rows)
    assert all(p.grad is None and not p.requires_grad for p in net.parameters())


def test_flux_runs_every_way() -> None:
    torch.manual_seed(0)
    net = FluxTransformer2DModel(
        in_channels=16, num_layers=2, num_single_layers=1, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=8, pooled_projection_dim=8, guidance_embeds=True, axes_dims_rope=(2, 2, 4),
    )  # fmt: skip
    rows = gpu.flux("cpu", torch.float32, "?", 1, net)
    assert [r.name for r in rows] == ["DragFlow restated", "one region", "one region, checkpoints"]
    assert all(r.ms > 0 for r in rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU it would measure")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert gpu.main(["--json", str(tmp_path / "x.json")]) == 2
    assert "not measured" in capsys.readouterr().err and not (tmp_path / "x.json").exists()


def test_readme_section(tmp_path: Path) -> None:
    line = {"group": "sd15", "metric": "GFLOP an update, exact", "value": 1792.6, "op": "<=", "limit": 1830.0}
    found, timed = tmp_path / "counts.json", tmp_path / "gpu.json"
    found.write_text(json.dumps([{**line, "ok": True}, {**line, "metric": "other", "ok": False}]))
    (tmp_path / "savings.md").write_text("| model | way |\n")
    text = readme.section(found, savings=tmp_path / "savings.md")
    assert "\n| model | way |\n" in text
    assert "| SD1.5, 512x512: GFLOP an update | 2470 | 1793 | <= 1830 |" in text and "other" not in text
    assert "docs/card.md" in text and "missed" not in text
    found.write_text(json.dumps([{**line, "ok": False}]))
    assert "| <= 1830 **missed** |" in readme.section(found)
    row = {"name": "one region", "ms": 20.0, "peak_gb": 1.5, "tflop": 1.3, "share": 0.25}
    timed.write_text(json.dumps({"card": "NVIDIA H100", "sd": [row]}))
    text = readme.section(found, timed)
    assert "NVIDIA H100" in text and "| one region | 20.0 | 50.0 | 1.50 | 25 % |" in text


def test_the_readme_has_what_the_command_writes() -> None:
    """Its table's names and limits are lines of counts; the values of the quickest group are compared."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert readme.BEFORE in text and readme.SAVINGS in text
    assert all(f"\n| {what} | {published} | " in text for what, published in readme.ROWS.values())
    rows = [readme.row({"group": "dragflow", **asdict(x), "ok": x.ok}) for x in counts.dragflow_loss()]
    assert len([r for r in rows if r]) == 2 and all(f"\n{r}\n" in text for r in rows if r)


def test_savings_table_is_relative_to_the_first_row(monkeypatch: pytest.MonkeyPatch) -> None:
    work = iter([200.0, 50.0])
    asked: list[tuple[str, int]] = []

    def run(model: str, recipe: str, change: savings.Change, cases: list[int]) -> savings.Outcome:
        asked.append((recipe, len(cases)))
        return savings.Outcome(1.25, 30.0, 40.0, next(work), 12)

    monkeypatch.setattr(savings, "run", run)
    monkeypatch.setattr(savings, "load_model", lambda name: name)
    said: list[str] = []
    savings.table([1, 2], said.append, savings.ROWS[:2])  # type: ignore[list-item]
    assert asked == [("dragnext", 2)] * 2
    assert said[2].endswith("| 1.25 | 30.0 | 40.0 | 12 | 200 | 1.00 |") and said[3].endswith("| 50 | 0.25 |")
