"""AdaptiveDrag's automatic mask on a drag: what may change, from its points and the picture's features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from ..types import Task
from .superpixels import auto_mask, lab, superpixels
from .task import MARGIN

# how alike neighbouring super-pixels must be to belong to one thing, in units of the features' spread
LIKE = 0.9
Seeing = Callable[[Tensor], Tensor]  # a picture (1, 3, H, W) in [0, 1] -> a feature map (1, C, h, w) of it


def with_auto_mask(task: Task, image: Tensor, see: Seeing = lab) -> Task:
    """Lets change what follows from the points (AdaptiveDrag §3.3), and nothing else.

    image: (1, 3, H, W) in [0, 1], the task's picture.
    see: what its super-pixels follow: Lab colour, or a model's features (SAM 2 in the paper).
    Raises DragError where the drag has no point.
    """
    features, pairs = see(image), [(h.start, h.target) for h in task.handles]
    margin = round(MARGIN * (task.image.height + task.image.width) / 2)
    labels = superpixels(features, task.image)
    mask = auto_mask(pairs, labels=labels, features=features, likeness=LIKE, margin=margin)
    return replace(task, editable=mask)
