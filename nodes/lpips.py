"""DragLoadLPIPS: the network that the papers' image fidelities look through."""

from __future__ import annotations

from comfy_api.latest import io, ui

from . import sockets
from .host.lpips import BACKBONES, HEADS, backbone_names, head_names, load_lpips


class DragLoadLPIPS(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragLoadLPIPS",
            display_name="Drag Load LPIPS",
            category=sockets.INSPECT,
            description="Loads LPIPS v0.1 for Drag Metrics from two files in models/lpips: AlexNet's or "
            "VGG16's weights and the heads of the package lpips. Nothing is downloaded.",
            search_aliases=["perceptual distance", "alexnet", "image fidelity"],
            inputs=[
                io.Combo.Input(
                    "backbone_name",
                    options=backbone_names(),
                    default=BACKBONES[0],
                    tooltip="The network's weights, as torchvision has them. Also found in torch's own "
                    "download cache. The papers use AlexNet.",
                ),
                io.Combo.Input(
                    "heads_name",
                    options=head_names(),
                    default=HEADS[0],
                    tooltip="The heads for that network. Also found where the package lpips or "
                    "torchmetrics is installed.",
                ),
            ],
            outputs=[
                sockets.Lpips.Output(display_name="lpips", tooltip="For DragMetrics."),
                io.String.Output(
                    display_name="report", tooltip="Which weights, their hash, whether the papers' own."
                ),
            ],
        )

    @classmethod
    def execute(cls, backbone_name: str, heads_name: str) -> io.NodeOutput:
        net = load_lpips(backbone_name, heads_name)
        whose = "the papers' own" if net.official else "not known as the papers' own"
        said = f"{net.name}, sha256 {net.sha256}: {whose}"
        return io.NodeOutput(net, said, ui=ui.PreviewText(said))
