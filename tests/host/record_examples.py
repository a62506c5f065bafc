"""Writes example_workflows/ (with thumbnails from real runs) and the golden schema of our nodes, with a
server that it starts: python -m tests.host.record_examples [NAME ...]

All workflows are written; with names only theirs are run.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.host.place import ROOT
from tests.host.server import Server
from tests.host.workflows import to_prompt
from tools.examples import FOLDER, MOVE, examples

GOLDEN = ROOT / "tests" / "golden" / "object_info.json"
RUNS_ALONE = (
    MOVE,
    "dragflow",
    "dragnext",
    "gooddrag",
    "dragdiffusion",
    "adaptivedrag",
    "copy-paste",
    "drag-editor",
    "drag-upscale-refine",
    "identity",
    "finish",
)


def ours(object_info: dict[str, Any]) -> dict[str, Any]:
    """Our nodes' schemas, without where this checkout lies."""
    return {
        name: {k: v for k, v in info.items() if k != "python_module"}
        for name, info in sorted(object_info.items())
        if info["python_module"].startswith("custom_nodes.")
    }


def pictures(server: Server, workflow: dict[str, Any], outputs: dict[str, Any]) -> list[np.ndarray]:
    """What the workflow's region nodes (else its editors) and SaveImage nodes showed, in this order."""
    kinds = {str(n["id"]): n["type"] for n in workflow["nodes"]}
    marked = "DragRegionMaskAffine" if "DragRegionMaskAffine" in kinds.values() else "DragEditor"
    return [
        server.image(outputs[i].get("images", outputs[i].get("drag_background"))[0])
        for kind in (marked, "SaveImage")
        for i in sorted(outputs, key=int)
        if kinds.get(i) == kind
    ]


def thumbnail(shown: list[np.ndarray], side: int = 320) -> np.ndarray:
    """What goes where, and what came of it, side by side; BGR."""
    cells = [cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in shown]
    return np.ascontiguousarray(np.hstack(cells)[..., ::-1])


def main(names: list[str]) -> None:
    if unknown := [n for n in names if n not in RUNS_ALONE]:
        raise SystemExit(f"{unknown[0]} does not run alone; these do: {', '.join(RUNS_ALONE)}")
    with tempfile.TemporaryDirectory() as base, Server(Path(base)) as server:
        info = server.object_info()
        GOLDEN.write_text(json.dumps(ours(info), indent=1) + "\n", encoding="utf-8")
        for name, content in examples(info).items():
            text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
            (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
            if name in (names or RUNS_ALONE):
                run = server.run(to_prompt(content, info))
                if not run.ok:
                    raise SystemExit(f"{name}: {run.error}")
                shown = thumbnail(pictures(server, content, run.outputs))
                cv2.imwrite(str(FOLDER / f"{name}.jpg"), shown, [cv2.IMWRITE_JPEG_QUALITY, 88])
                print(f"{name}: {run.seconds:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
