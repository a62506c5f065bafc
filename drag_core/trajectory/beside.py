"""A second trajectory beside the picture's, a refill's or a draft's: what a drag needs of it."""

from __future__ import annotations

from ..types import DragError, KVCache, Trajectory

SAME = "give both DragInvert nodes the same settings"
GIVE_ONE = "give one inverted with them (kv_layers auto in DragInvert), or set kv_of to picture"


def check_beside(picture: Trajectory, other: Trajectory, name: str) -> None:
    """Refuses a trajectory `other`, called `name`, that was inverted otherwise than the picture.

    Latents of two schedules, or of two solvers, do not belong to one path.
    """
    a, b = picture.schedule, other.schedule
    if a != b:
        here, there = len(a.t) - 1, len(b.t) - 1
        if here == there:
            raise DragError(
                f"the {name} was inverted at other noise levels (strength or shift) than the picture: {SAME}"
            )
        raise DragError(f"the {name} was inverted at {there} levels and the picture at {here}: {SAME}")
    if picture.solver and other.solver and picture.solver != other.solver:
        raise DragError(
            f"the {name} was inverted with the solver {other.solver} and the picture with {picture.solver}: "
            f"{SAME}"
        )


def kv_of_draft(draft: Trajectory | None, blocks: tuple[str, ...]) -> KVCache:
    """Returns the draft's K/V; refuses where there is no draft, or it has none of one of `blocks`."""
    if draft is None:
        raise DragError(f"the keys and values of a draft are asked for and there is none: {GIVE_ONE}")
    if draft.kv is None:
        raise DragError(f"the draft was inverted without keys and values, which are asked for: {GIVE_ONE}")
    if missing := [b for b in blocks if b not in draft.kv.blocks]:
        raise DragError(
            f"the draft holds no keys and values of {missing[0]}, which are asked for: {GIVE_ONE}"
        )
    return draft.kv
