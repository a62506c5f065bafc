"""The pack's own socket types, named once, and what travels through them.

The host keeps every output for its cache: what travels is frozen, holds CPU tensors, and is never changed.
"""

from __future__ import annotations

from comfy_api.latest import io

CATEGORY = "drag"  # where one begins; the others are for who builds
PARTS, ADAPTERS, INSPECT, EXAMPLES = (f"{CATEGORY}/{x}" for x in ("parts", "adapters", "inspect", "examples"))

Regions = io.Custom("DRAG_REGIONS")  # drag_core.types.Task: what moves where, on a picture of a given size
Trajectory = io.Custom("DRAG_TRAJECTORY")  # nodes.host.inversion.Inversion
Constraint = io.Custom("DRAG_CONSTRAINT")  # drag_core.recipes.assemble.KeepBackground
Crop = io.Custom("DRAG_CROP")  # drag_core.pictures.crop.Crop
Adapter = io.Custom("DRAG_ADAPTER")  # nodes.host.adapters.ip_adapter.Adapter: an image adapter's file
Subject = io.Custom("DRAG_SUBJECT")  # drag_core.adapters.instant_character.Subject
Sam2 = io.Custom("DRAG_SAM2")  # drag_core.features.sam2.Sam2: SAM 2's image encoder
Lpips = io.Custom("DRAG_LPIPS")  # drag_core.metrics.lpips.LpipsNet
Features = io.Custom("DRAG_FEATURES")  # drag_core.metrics.matched.Features: DIFT of one picture
Tracks = io.Custom("TRACKS")  # the host's own: {"track_path": (F, N, 2), "track_visibility": (F, N)}
MLLM = io.Custom("DRAG_MLLM")  # nodes.mllm_client.Mllm: a multimodal model in a server
