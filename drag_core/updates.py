"""The updates of a drag: what one edit carries from level to level, and the optimisation at a level."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .autocast import uncast
from .recipes.recipe import Recipe
from .result import Log
from .step import Step
from .trajectory.bounds import extent, measured
from .trajectory.solvers import ddim_jump
from .types import KV, Backbone, KVCache, KVRecord, Schedule, Trajectory


class Updates:
    """Runs one recipe's updates, level by level.

    draft: the trajectory whose K/V are injected in place of the source's.
    origin: what the source was inverted with, for all that is the source's own: its K/V, and where it goes
        next. Its features, which the edit's are compared with, are the edit's `backbone`'s.

    Holds the supervision's state between levels, and `finished` once the drag has ended.
    """

    def __init__(
        self,
        backbone: Backbone,
        source: Trajectory,
        recipe: Recipe,
        store: KVCache | None,
        kv: KV,
        log: Log,
        draft: Trajectory | None = None,
        origin: Backbone | None = None,
    ) -> None:
        self.origin = backbone if origin is None else origin
        self.backbone, self.source, self.recipe, self.log = backbone, source, recipe, log
        self.kv, self.draft = kv, draft
        # the source's K/V at the very levels of the updates, which the inversion passes by; a view which does
        # that too has no use for them
        self.anchor: KV = KVRecord(store, recipe.kv_blocks, recipe.kv_text) if store else None
        if recipe.kv_view is not None or not recipe.kv_record:
            self.anchor = kv
        self.state: Any = None
        self.finished = False
        self.made = 0
        self.reached = False  # what the last tracking found

    def tell(self, level: int, z: Tensor) -> None:
        self.log.done += 1
        handles = self.recipe.supervision.trace(self.state) if self.state is not None else ()
        step = Step(self.log.done, self.log.total, level, z.detach(), handles, check=self.log.read)
        self.log.on_step(step)

    def optimise(self, z: Tensor, ref: Tensor, i: int) -> Tensor:
        """Makes the updates of level i, against the source's features at the same level."""
        r, s, t = self.recipe, self.source.schedule, self.source.schedule.t[i]
        if self.finished or i >= len(r.ramp) or not r.ramp[i]:
            return z
        stop = not r.constraint.needs_prediction
        with torch.no_grad():
            wanted, predicted = self.compared(ref, i, stop and not r.background.needs_prediction)
            ref_next = ref if predicted is None else _next(ref, predicted, s, i)
            held = r.background.held(ref, ref_next)
        unmoved = z is ref  # nothing has changed the latent yet
        z = z.detach().clone().requires_grad_()
        # all that no update changes is made here: an update neither copies from the host nor waits for it
        plan = r.supervision.plan(wanted, r.ramp[i])
        constraint = r.constraint.beside(z)
        mask = None if r.update_mask is None else r.update_mask.to(z)
        optimizer = r.optimizer([z])
        rates = [group["lr"] for group in optimizer.param_groups]
        of_source = extent(self.source.z[i])
        if self.state is None:
            self.state = r.supervision.init(wanted)
        arrived = 0  # updates at full progress
        for k, progress in enumerate(r.ramp[i]):
            features, predicted = self.backbone.features(z, t, r.taps, self.kv, stop=stop)
            if self.due(k):
                self.track(features, plan)
            if self.reached:
                self.finished = True
                break
            with uncast(z.device):
                loss = r.supervision.loss(features, plan, self.state, progress)
                # the picture beside itself: all differences are 0, and of those that are rounding's L1 would
                # pass on the sign as if they were large (0.1 after four updates by Adam at 0.02 in a toy)
                unmoved = unmoved and progress == 0
                loss = 0.0 * loss if unmoved else loss
                if predicted is not None:
                    penalty = constraint.penalty(_next(z, predicted, s, i), ref_next, progress)
                    loss = loss + (0.0 * penalty if unmoved and self.origin is self.backbone else penalty)
                gradient = torch.autograd.grad(loss, z)[0] if loss.requires_grad else None
            if gradient is not None:
                z.grad = gradient if mask is None else gradient * mask
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * (r.hold_gain if progress >= 1 else 1.0)
                optimizer.step()
                with torch.no_grad():
                    z.copy_(constraint.project(z, held))
            self.made += 1
            self.log.note(measured(loss, z, self.source.z[i], of_source))
            self.tell(i, z)
            if r.stale_tracking and r.track_every and (k + 1) % r.track_every == 0:
                self.track(features, plan)
            arrived += progress >= 1
            if r.settle and arrived >= 10 and arrived % 5 == 0 and self.settled():
                break
        if r.track_every and r.track_last and not self.finished:
            with torch.no_grad():
                self.track(self.backbone.features(z.detach(), t, r.taps, self.kv)[0], plan)
            self.finished = self.reached
        return z.detach()

    def due(self, k: int) -> bool:
        """Tells whether the handles are looked for anew before a level's update k."""
        r = self.recipe
        if not r.track_every or not self.made:
            return False
        if r.stale_tracking:
            return k == 0
        return k % r.track_every == 0 and not (k == 0 and r.track_last)

    def compared(self, ref: Tensor, i: int, stop: bool) -> tuple[list[Tensor], Tensor | None]:
        """Reads the source's features at level i, and records the K/V that its updates look at.

        K/V are recorded, and a prediction is made, as in the inversion, by `origin`; the features are made
        under what the edit looks at. With a draft the source's are its own: neither recorded over the draft's
        nor drawn under them.
        """
        t, taps = self.source.schedule.t[i], self.recipe.taps
        anchor = self.anchor if self.draft is None else None
        if self.draft is not None and isinstance(self.anchor, KVRecord) and self.anchor.blocks:
            self.origin.features(self.draft.z[i].to(ref), t, taps, self.anchor, stop=stop)
        if self.origin is self.backbone:
            return self.backbone.features(ref, t, taps, anchor, stop=stop)
        predicted = None
        if not stop or isinstance(anchor, KVRecord):
            predicted = self.origin.features(ref, t, taps, anchor, stop=stop)[1]
        here = self.kv if isinstance(anchor, KVRecord) else anchor
        return self.backbone.features(ref, t, taps, here)[0], predicted

    def track(self, features: list[Tensor], plan: Any) -> None:
        self.state, self.reached = self.recipe.supervision.track(features, plan, self.state)
        self.log.traces.append(self.recipe.supervision.trace(self.state))

    def settled(self) -> bool:
        """Tells whether the last five updates lowered the loss by too little against the five before.

        Asked every five updates, and only if wanted: then the loop waits for the device.
        """
        losses, _ = self.log.read()
        assert self.log.rows is not None
        last = torch.tensor(losses[-10:], dtype=self.log.rows.dtype)
        before, after = last.reshape(2, 5).mean(1).tolist()
        return bool(after > (1 - self.recipe.settle) * before)


def _next(z: Tensor, prediction: Tensor, s: Schedule, i: int) -> Tensor:
    """Takes one plain step towards the clean end."""
    if s.prediction == "velocity":
        return z + (s.t[i + 1] - s.t[i]) * prediction
    return ddim_jump(z, prediction, s, i, i + 1)
