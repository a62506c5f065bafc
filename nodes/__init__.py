"""The pack's node types, in the order of the menu. One file per node type; comfy internals only in host/."""

from comfy_api.latest import ComfyExtension, io

from .adapter import DragAdapterInjection
from .automask import DragAutoMask
from .background import DragBackgroundHardConstraint
from .dift import DragDIFT
from .edit import DragEdit
from .editor import DragEditor
from .example import DragExampleScene
from .finish import DragFinish
from .guide import DragCorrespondenceGuide
from .host.adapters.ip_adapter import list_adapter_folders
from .host.loaders import list_folders
from .host.lpips import list_lpips_folder
from .intent import DragIntent
from .invert import DragInvert
from .ip_adapter import DragApplyIPAdapter, DragEncodeSubject, DragLoadIPAdapter
from .kv import DragKVInject
from .loaders import DragEmbeddedModel
from .look import DragFeatureView, DragTapProbe
from .lora import DragIdentityLoRA
from .lpips import DragLoadLPIPS
from .memory import DragMemoryPlan
from .metrics import DragMetrics
from .mllm import DragLocalMLLM
from .mllm_score import DragMLLMScore
from .optimize import DragOptimize
from .paste import DragCrop, DragPasteBack
from .region import RegionMaskAffine
from .sam2 import DragLoadSAM2
from .tracks import DragTracks

NODES: list[type[io.ComfyNode]] = [
    DragEdit,
    DragEditor,
    DragIntent,
    DragLocalMLLM,
    DragInvert,
    RegionMaskAffine,
    DragAutoMask,
    DragLoadSAM2,
    DragOptimize,
    DragFinish,
    DragBackgroundHardConstraint,
    DragKVInject,
    DragCorrespondenceGuide,
    DragAdapterInjection,
    DragLoadIPAdapter,
    DragEncodeSubject,
    DragApplyIPAdapter,
    DragIdentityLoRA,
    DragMetrics,
    DragLoadLPIPS,
    DragDIFT,
    DragMLLMScore,
    DragMemoryPlan,
    DragFeatureView,
    DragTapProbe,
    DragCrop,
    DragPasteBack,
    DragTracks,
    DragEmbeddedModel,
    DragExampleScene,
]


class DragEditing(ComfyExtension):
    async def on_load(self) -> None:
        list_folders()
        list_adapter_folders()
        list_lpips_folder()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES
