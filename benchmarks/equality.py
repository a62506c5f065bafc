"""That the cheap loop computes what the plain one does."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import reference, tiny
from drag_core.features.supervise import RegionSupervision
from drag_core.kernels.lookup import lookup, patches, reading
from drag_core.types import AffineMotion, FeatureTap, Grid, Region

GEOMETRIES = (
    ((64, 64), Grid(256, 256), 32),
    ((96, 64), Grid(384, 256), 16),
    ((65, 81), Grid(260, 324), 16),
    ((63, 77), Grid(251, 309), 16),
    ((32, 32), Grid(256, 256), 32),
    ((16, 16), Grid(256, 256), 32),
)
Row = tuple[str, float, str, float]
# Without fused multiply-add F.interpolate in float32 rounds a place once more than lookup.neighbours. Where
# the scale is no power of two that shifts the place by up to 7.6e-6 cells (of 64 to 128), and the value by
# that times the step between two cells of a random map, about 5. Seen: 1.7e-5 in the value, 3e-6 in the
# gradient.
COARSE = 32 if torch.backends.cpu.get_cpu_capability() == "DEFAULT" else 1


def lazy(dtype: torch.dtype) -> tuple[float, float]:
    """Largest difference to F.interpolate and index, values and (relative) gradients."""
    value = slope = 0.0
    g = torch.Generator().manual_seed(1)
    for native, grid, channels in GEOMETRIES:
        x = torch.randn(1, channels, *native, generator=g, dtype=torch.float64).to(dtype).requires_grad_()
        up = F.interpolate(x, (grid.height, grid.width), mode="bilinear")[0]
        rows = torch.randint(0, grid.height, (400,), generator=g)
        columns = torch.randint(0, grid.width, (400,), generator=g)
        area = slice(11, grid.height - 30), slice(7, grid.width - 25)
        (top,), (down,) = reading(torch.arange(grid.height)[None, area[0]], native[0], grid.height, dtype)
        (left,), (along,) = reading(torch.arange(grid.width)[None, area[1]], native[1], grid.width, dtype)
        cut = x[0, :, top : top + down.shape[1], left : left + along.shape[1]]
        for got, want in (
            (lookup(x, grid, torch.stack([columns, rows], -1), padding="border"), up[:, rows, columns]),
            (down.to(dtype) @ cut @ along.to(dtype).T, up[:, area[0], area[1]]),
        ):
            weight = torch.randn(want.shape, generator=g, dtype=torch.float64).to(dtype)
            a, b = (torch.autograd.grad((y * weight).sum(), x, retain_graph=True)[0] for y in (got, want))
            value = max(value, float((got - want).detach().abs().max()))
            slope = max(slope, float((a - b).abs().max() / b.abs().max()))
    return value, slope


def windowed(dtype: torch.dtype) -> tuple[float, float]:
    """The planned region pull against its definition, away from the kinks: loss and gradient, relative."""
    image, value, slope = Grid(240, 352), 0.0, 0.0
    g = torch.Generator().manual_seed(2)
    mask = torch.zeros(image.height, image.width)
    mask[60:130, 80:190] = 1
    moves = (AffineMotion((37.3, -21.9)), AffineMotion((5.0, 9.0), 0.6, (1.1, 0.9), (130.0, 90.0)))
    for native, grid in (((30, 44), Grid(120, 176)), ((31, 45), Grid(121, 175)), ((15, 22), Grid(120, 176))):
        now = [torch.randn(1, 24, *native, generator=g, dtype=torch.float64).to(dtype) + 12 for _ in range(2)]
        then = [torch.randn(1, 24, *native, generator=g, dtype=torch.float64).to(dtype) for _ in range(2)]
        s = RegionSupervision(tuple(Region(mask, m, 0.5) for m in moves), image, grid)
        out = []
        for given in (then, s.plan(then, (0.63,))):
            leaves = [x.clone().requires_grad_() for x in now]
            loss = s.loss(leaves, given, None, 0.63)
            out.append([loss.detach(), *torch.autograd.grad(loss, leaves)])
        value = max(value, float((out[0][0] - out[1][0]).abs() / out[0][0]))
        slope = max(
            slope, *(float((a - b).norm() / a.norm()) for a, b in zip(out[0][1:], out[1][1:], strict=True))
        )
    return value, slope


def whole_map_loss() -> tuple[float, float]:
    """GoodDrag's loss as released, on an upsampled map, against the batched patches: loss and gradient."""
    g = torch.Generator().manual_seed(3)
    x = (torch.randn(1, 64, 32, 32, generator=g) + 8).requires_grad_()
    then = torch.randn(1, 64, 32, 32, generator=g)
    up, first = (F.interpolate(m, (128, 128), mode="bilinear") for m in (x, then))
    points = [(60, 40), (33, 80), (90, 77)]
    want = reference.gooddrag_loss(up, first, points)
    starts = torch.tensor([[p[1], p[0]] for p in points], dtype=torch.float64)
    grid = Grid(128, 128)
    weights = {(0, 0): 0.3, (0, 1): 0.2, (1, 0): 0.4, (1, 1): 0.1}  # (x, y) shifts, as the restatement's
    moved = sum(
        w * patches([x], grid, starts + torch.tensor(shift, dtype=torch.float64), 4)
        for shift, w in weights.items()
    )
    assert isinstance(moved, Tensor)
    got = 64 * (moved - patches([then], grid, starts, 4)).abs().mean((0, 2, 3)).sum()
    a, b = (torch.autograd.grad(y, x, retain_graph=True)[0] for y in (got, want))
    return float((got - want).detach().abs() / want.detach()), float((a - b).norm() / b.norm())


def lines() -> Iterator[Row]:
    for dtype, value, slope in ((torch.float64, 1e-12, 1e-11), (torch.float32, 1e-6, 2e-6)):
        name = str(dtype)[6:]
        a, b = lazy(dtype)
        loose = COARSE if dtype == torch.float32 else 1
        yield f"lazy sampling - interpolate and index, {name}", a, "<=", loose * value
        yield f"its gradient, relative, {name}", b, "<=", loose * slope
        a, b = windowed(dtype)
        yield f"windowed region loss - definition, relative, {name}", a, "<=", value
        yield f"its gradient, relative, {name}", b, "<=", slope
    a, b = whole_map_loss()
    yield "point loss - restated loss, relative, float32", a, "<=", 1e-6
    yield "its gradient, relative, float32", b, "<=", 2e-6
    for name, backbone, z, t, tap in tiny.backbones():
        grads = []
        for stop in (True, False):
            x = z.clone().requires_grad_()
            maps, _ = backbone.features(x, t, (FeatureTap(tap),), stop=stop)
            grads += [maps[0].detach(), torch.autograd.grad(maps[0].square().mean(), x)[0]]
        same = torch.equal(grads[0], grads[2]) and torch.equal(grads[1], grads[3])
        yield f"early-stopped features and gradient bit-equal, tiny {name}", float(same), "==", 1
