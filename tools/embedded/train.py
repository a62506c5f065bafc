"""The trainings of the embedded models, from scenes to the files that ship, in one command:

    python -m tools.embedded.train --out DIR                  (a GPU: about 8 minutes of an H100)
    python -m tools.embedded.train --out DIR --device cpu     (two cores: some hours)

Draws scenes, trains the autoencoder (its bank of filters is frozen after a while), then the UNet and FLUX on
its latents, writes drag_tiny_vae, drag_tiny_sd, drag_tiny_flux and linear_encoder .safetensors and
training-log.json into DIR. How many steps fit into --seconds is counted out from the first ones of each
training; then everything depends on the step alone. A stopped run goes on with --resume, on a CPU to the same
bits; a finished one's folder can be where another starts: --from.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from drag_core.types import DragError

from . import autoencoder, denoiser, preview, start
from .export import write_autoencoder, write_denoiser
from .loop import Progress, Row, Training, read
from .photos import TRAINED
from .run import SIZES, Pictures, pictures
from .stage import ROWS, Budget, Clock, run_stage

SECONDS = {"cuda": 470.0, "cpu": 13_500.0}
SHARES = {"vae": 0.26, "unet": 0.37, "flux": 0.37}  # of the time
PLAN, LOG = "plan.json", "training-log.json"
PREVIEWS = 64  # pictures of each kind that the colours of previews are fitted to


@dataclass(frozen=True)
class Plan:
    """What was asked for; it lies in the folder, and --resume goes on with it.

    steps: of each training, in place of counting them out (None).
    given: the folder of weights to go on from; None: from nothing.
    rate: a factor for all learning rates.
    """

    device: str
    size: str
    seconds: float
    steps: int | None
    given: str | None
    rate: float


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--device", choices=["cuda", "cpu"], help="default: cuda where there is one")
    p.add_argument("--seconds", type=float, help=f"about so long; default: {SECONDS}")
    p.add_argument(
        "--resume", action="store_true", help="go on with a run that was stopped, as it was asked for"
    )
    p.add_argument("--from", dest="given", metavar="WEIGHTS", help="a folder with the four files, or models")
    p.add_argument("--size", choices=list(SIZES), help="default: the device's; tiny: a rehearsal of a minute")
    p.add_argument("--steps", type=int, help="of each training, in place of --seconds")
    p.add_argument("--rate", type=float, default=1.0, help="a factor for all learning rates")
    return p.parse_args(argv)


def planned(a: argparse.Namespace) -> Plan:
    """The plan of a new run, written into its folder, or that of a stopped one."""
    path = a.out / PLAN
    if a.resume:
        if not path.exists():
            raise DragError(f"{a.out} holds no stopped run: leave --resume out")
        return Plan(**json.loads(path.read_text()))
    if path.exists():
        raise DragError(f"{a.out} already holds a run: go on with --resume, or give another --out")
    device = a.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise DragError("there is no CUDA device: train with --device cpu")
    seconds = a.seconds or SECONDS[device]
    plan = Plan(device, a.size or device, seconds, a.steps, a.given, a.rate)
    a.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(plan), indent=1))
    return plan


def spent(out: Path) -> float:
    """The seconds of a stopped run, by its last checkpoint."""
    return max((float(read(f)["seconds"]) for f in out.glob("*.pt")), default=0.0)


def budget(plan: Plan, name: str, clock: Clock) -> Budget:
    """A training's part of what is left: an earlier one that took longer costs the later ones."""
    order = list(SHARES)
    after = sum(SHARES[n] for n in order[order.index(name) :])
    return Budget((plan.seconds - clock.now()) * SHARES[name] / after, plan.steps)


def train_autoencoder(
    plan: Plan, out: Path, clock: Clock, data: Pictures
) -> tuple[autoencoder.Autoencoder, nn.Module, Progress]:
    """The autoencoder, and the running mean of its decoder, which ships."""
    given = Path(plan.given) if plan.given else None
    net = start.autoencoder(given, data.mix).to(data.device)
    build = partial(_autoencoder, net, data, plan)

    def frozen() -> Row:
        return {"event": "encoder published", "deviation": autoencoder.deviation(net.encoder, data.held)}

    t, progress = run_stage(
        build,
        out / "vae.pt",
        clock,
        budget(plan, "vae", clock),
        plan.seconds / ROWS,
        data.mix,
        legs=lambda steps: ((math.ceil(autoencoder.FROZEN * steps), frozen),),
    )
    return net, t.mean, progress


def _autoencoder(net: autoencoder.Autoencoder, data: Pictures, plan: Plan, _: bool) -> Training:
    return autoencoder.training(net, data, SIZES[plan.size], plan.rate)


def train_denoiser(
    name: str, encode: denoiser.Encode, plan: Plan, out: Path, clock: Clock, data: Pictures
) -> tuple[nn.Module, Progress]:
    """The running mean of a denoiser, which ships."""
    net = start.denoiser(name, Path(plan.given) if plan.given else None).to(data.device)

    def build(compiled: bool) -> Training:
        return denoiser.training(name, net, encode, data, SIZES[plan.size], plan.rate, compiled)

    part, every = budget(plan, name, clock), plan.seconds / ROWS
    cuda = plan.device == "cuda"
    t, progress = run_stage(build, out / f"{name}.pt", clock, part, every, data.mix, compiled=cuda)
    return t.mean, progress


def write_log(
    out: Path, plan: Plan, clock: Clock, photographs: list[str], rows: dict[str, list[Row]]
) -> None:
    device = torch.cuda.get_device_name() if plan.device == "cuda" else "cpu"
    about = {
        "device": device,
        "torch": torch.__version__,
        "seconds": round(clock.now(), 1),
        "arguments": {k: str(v) for k, v in asdict(plan).items()},
        "photographs": photographs,
    }
    (out / LOG).write_text(json.dumps({"about": about} | rows, indent=0))


def run(plan: Plan, out: Path) -> None:
    """The whole way; what has its checkpoint is not done again."""
    clock = Clock(spent(out), time.monotonic())
    device = torch.device(plan.device)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    data = pictures(SIZES[plan.size], device)
    seen = list(TRAINED) if data.mix.photos else []
    net, decoder, progress = train_autoencoder(plan, out, clock, data)
    rows, steps = {"vae": list(progress.rows)}, progress.steps
    encoder = net.encoder.requires_grad_(False)
    scale = autoencoder.deviation(encoder, data.held)

    def encode(x: Tensor) -> Tensor:
        z: Tensor = encoder(x) / scale
        return z

    facts: dict[str, object] = {"steps": progress.steps, "crops": progress.steps * SIZES[plan.size].crops}
    write_autoencoder(out, encoder.cpu(), decoder.state_dict(), scale, facts)
    encoder.to(device)
    for name in ("unet", "flux"):
        data = replace(data, first_step=steps)
        mean, progress = train_denoiser(name, encode, plan, out, clock, data)
        write_denoiser(out, name, mean.cpu(), progress.steps * SIZES[plan.size].batch)
        rows, steps = rows | {name: list(progress.rows)}, steps + progress.steps
        write_log(out, plan, clock, seen, rows)
    for kind, values in preview.fit_files(out, min(PREVIEWS, SIZES[plan.size].lit)).items():
        print(f"previews' R2 on held-out {preview.NAMES[kind]}: " + ", ".join(f"{v:.3f}" for v in values))
    write_log(out, plan, clock, seen, rows)
    print(f"{out}: done in {clock.now():.0f} s", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    a = arguments(argv)
    try:
        run(planned(a), a.out)
    except DragError as e:
        raise SystemExit(str(e)) from None
    except KeyboardInterrupt:
        raise SystemExit(
            f"Stopped; with --out {a.out} --resume it goes on from its last checkpoint."
        ) from None


if __name__ == "__main__":
    main()
