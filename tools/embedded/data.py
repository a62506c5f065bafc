"""Training data: rendered once to disk as bytes, encoded once to half-precision latents."""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from drag_core.bench.scenes import HELD_OUT, render, sample_scene

from .codec import SHIPPED, read_linear


def _picture(seed: int) -> np.ndarray:
    torch.set_num_threads(1)
    return (render(sample_scene(seed)) * 255).round().byte().numpy()


def _latent(job: tuple[range, str]) -> np.ndarray:
    """Latents of the seeds and of their mirror images, one after the other."""
    torch.set_num_threads(1)
    seeds, weights = job
    encoder, deviation = read_linear(Path(weights))
    out = []
    with torch.no_grad():
        for seed in seeds:
            x = render(sample_scene(seed))
            out.append((encoder(torch.stack([x, x.flip(2)])) / deviation).half().numpy())
    return np.concatenate(out)


def pictures(first: int, count: int, workers: int = 2) -> torch.Tensor:
    """(count, 3, 256, 256) bytes for seeds first .. first + count - 1."""
    with ProcessPoolExecutor(workers) as pool:
        return torch.from_numpy(np.stack(list(pool.map(_picture, range(first, first + count), chunksize=50))))


def main() -> None:
    """Write `count` scenes and their mirrors as latents: (2·count, 16, 32, 32) half, .npy."""
    p = argparse.ArgumentParser(description=main.__doc__)
    p.add_argument(
        "--vae", default=str(SHIPPED), help="checkpoint of train_vae; default: the shipped encoder"
    )
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--first", type=int, default=0)
    p.add_argument("--count", type=int, default=16000)
    p.add_argument("--workers", type=int, default=2)
    a = p.parse_args()
    if a.first + a.count > HELD_OUT:
        p.error(f"seeds from {HELD_OUT} on are held out")
    jobs = [
        (range(i, min(i + 100, a.first + a.count)), a.vae) for i in range(a.first, a.first + a.count, 100)
    ]
    store = np.lib.format.open_memmap(a.out, "w+", np.float16, (2 * a.count, 16, 32, 32))
    with ProcessPoolExecutor(a.workers) as pool:
        at = 0
        for part in pool.map(_latent, jobs):
            store[at : at + len(part)] = part
            at += len(part)
    store.flush()


if __name__ == "__main__":
    main()
