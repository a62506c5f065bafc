"""Tracks as the host's video nodes take them (comfy_extras/nodes_wanmove.py)."""

from __future__ import annotations

from typing import Any

import comfy.model_management as mm

from ...drag_core.motion.tracks import Tracks


def host_tracks(tracks: Tracks) -> dict[str, Any]:
    """Turns tracks into the host's TRACKS, on the device where its own nodes put theirs."""
    device = mm.intermediate_device()
    return {"track_path": tracks.path.to(device), "track_visibility": tracks.visible.to(device)}
