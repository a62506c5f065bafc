"""Drag Tracks: a drag as tracks for the host's video models."""

from __future__ import annotations

from comfy_api.latest import io

from ..drag_core.motion.tracks import MOST_FRAMES, tracks_of
from ..drag_core.types import Grid, Task
from . import sockets
from .host.tracks import host_tracks
from .unfinished import Unfinished, drawn

MOST_SIDE = 16384  # px; the host's own limit


class DragTracks(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragTracks",
            display_name="Drag Tracks",
            category=sockets.PARTS,
            description="The drag as tracks for video models that follow them, such as Wan-Move: where "
            "points of what moves are in every frame. Needs a host with WanMoveTrackToVideo, or another node "
            "that takes TRACKS.",
            inputs=[
                sockets.Regions.Input("regions", tooltip="What moves where, from Drag Region."),
                io.Int.Input(
                    "frames",
                    default=81,
                    min=1,
                    max=MOST_FRAMES,
                    tooltip="How many frames the video has: the same as in the video node. The drag ends in "
                    "the last one.",
                ),
                io.Int.Input(
                    "width",
                    default=832,
                    min=16,
                    max=MOST_SIDE,
                    step=16,
                    tooltip="The video's width in pixels: the same as in the video node.",
                ),
                io.Int.Input(
                    "height",
                    default=480,
                    min=16,
                    max=MOST_SIDE,
                    step=16,
                    tooltip="The video's height in pixels: the same as in the video node.",
                ),
                io.Int.Input(
                    "outline_points",
                    default=4,
                    min=0,
                    max=64,
                    tooltip="How many points along each region's outline have a track, beside its middle: a "
                    "turn or a stretch shows in several only.",
                ),
            ],
            outputs=[
                sockets.Tracks.Output(
                    display_name="tracks", tooltip="For Wan-Move, or others that take tracks."
                ),
                io.Int.Output(display_name="track_length", tooltip="The number of frames."),
            ],
        )

    @classmethod
    def execute(
        cls,
        regions: Task | Unfinished,
        frames: int = 81,
        width: int = 832,
        height: int = 480,
        outline_points: int = 4,
    ) -> io.NodeOutput:
        tracks = tracks_of(drawn(regions), frames, Grid(height, width), outline_points)
        return io.NodeOutput(host_tracks(tracks), frames)
