"""Drag Tracks gives what the host's own node gives for the same way, and the host's nodes take it."""

from __future__ import annotations

import pytest
import torch
from region_drag_editing.drag_core.types import AffineMotion, DragError, Grid, Handle, Region, Task
from region_drag_editing.nodes import DragTracks, sockets
from region_drag_editing.nodes.unfinished import Unfinished

host = pytest.importorskip("comfy_extras.nodes_wanmove", reason="a host without tracks")

SIZE = Grid(60, 104)


def theirs(start: tuple[float, float], end: tuple[float, float], frames: int) -> dict[str, torch.Tensor]:
    """A single track between two places, shares of width and height."""
    out = host.GenerateTracks.execute(
        width=832,
        height=480,
        start_x=start[0],
        start_y=start[1],
        mid_x=0.5,
        mid_y=0.5,
        end_x=end[0],
        end_y=end[1],
        num_frames=frames,
        num_tracks=1,
        track_spread=0.0,
    )
    return out.args[0]


def at(share: tuple[float, float]) -> tuple[float, float]:
    """The pixel of our picture at that share of it: our pixels' middles are whole numbers."""
    return share[0] * SIZE.width - 0.5, share[1] * SIZE.height - 0.5


@pytest.mark.parametrize("frames", [1, 2, 81])
def test_the_same_way_has_the_same_values(frames: int) -> None:
    start, end = (0.125, 0.75), (0.875, 0.25)
    want = theirs(start, end, frames)
    ours, length = DragTracks.execute(Task(SIZE, handles=(Handle(at(start), at(end)),)), frames).args
    assert set(ours) == set(want) and length == frames
    for key, value in want.items():
        assert ours[key].shape == value.shape and ours[key].dtype == value.dtype
        assert ours[key].device == value.device
    assert (ours["track_path"] - want["track_path"]).abs().max() <= 1e-3
    assert torch.equal(ours["track_visibility"], want["track_visibility"])


def test_the_socket_is_the_hosts() -> None:
    from comfy_api.latest import io

    output = DragTracks.define_schema().outputs[0]
    assert output.io_type == sockets.Tracks.io_type == io.Tracks.io_type


def test_the_hosts_nodes_take_them() -> None:
    mask = torch.zeros(60, 104)
    mask[20:40, 10:30] = 1
    task = Task(SIZE, (Region(mask, AffineMotion((40.0, 5.0), 0.5, anchor=(20.0, 30.0))),))
    ours = DragTracks.execute(task, 9, 128, 64).args[0]
    assert ours["track_path"].shape == (9, 5, 2)
    shown = host.WanMoveVisualizeTracks.execute(torch.zeros(9, 64, 128, 3), 4, 3, 1.0, 2, ours).args[0]
    assert shown.shape == (9, 64, 128, 3) and float(shown[-1, :, 64:].max()) > 0.2
    both = host.WanMoveConcatTrack.execute(ours, ours).args[0]
    assert both["track_path"].shape == (9, 10, 2) and both["track_visibility"].shape == (9, 10)
    places = host.create_pos_embeddings(
        ours["track_path"], ours["track_visibility"], [4, 8, 8], 64, 128, track_num=5
    )
    assert places.shape == (5, 3, 2) and (places >= 0).all()  # all in the frame, in cells of the latent


def test_an_unfinished_drag_says_what_it_lacks() -> None:
    with pytest.raises(DragError, match="mark something"):
        DragTracks.execute(Unfinished("mark something"))
