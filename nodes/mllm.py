"""DragLocalMLLM: a multimodal model in a server on this machine, for the nodes that ask one."""

from __future__ import annotations

from comfy_api.latest import io

from ..drag_core.mllm.score import TEMPERATURE
from ..drag_core.ranges import check_mode
from ..drag_core.types import DragError
from . import sockets
from .mllm_client import KEY, REMOTE, Kind, Mllm, place_of


class DragLocalMLLM(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DragLocalMLLM",
            display_name="Drag Local MLLM",
            category=sockets.PARTS,
            description="A multimodal model in a server on this machine (Ollama, llama.cpp, LM Studio, vLLM "
            "...), for Drag Intent and Drag MLLM Score. This node sends nothing; those two do when they run.",
            search_aliases=["ollama", "openai", "llama.cpp", "vision language model", "vlm"],
            inputs=[
                io.Combo.Input(
                    "server",
                    options=["ollama", "openai"],
                    default="ollama",
                    tooltip="How the server is spoken to. openai: every server with /v1/chat/completions.",
                ),
                io.String.Input(
                    "address",
                    default="http://127.0.0.1:11434",
                    tooltip=f"Where it listens. Another machine is asked only if {REMOTE}=1 stands in "
                    f"ComfyUI's environment; a key is taken from {KEY} there, never from here.",
                ),
                io.String.Input(
                    "model",
                    default="qwen2.5vl:7b",
                    tooltip="The model's name on the server. It must see pictures, several at once.",
                ),
                io.Float.Input(
                    "temperature",
                    default=TEMPERATURE,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="0: always the likeliest answer. 0.4 is GScore's.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**31 - 1,
                    control_after_generate=False,  # else the host takes another one after every run
                    tooltip="Another one: another answer.",
                ),
                io.Float.Input(
                    "timeout",
                    default=180.0,
                    min=1.0,
                    max=3600.0,
                    step=1.0,
                    tooltip="Seconds to wait for one answer; the run can be interrupted meanwhile.",
                ),
                io.Boolean.Input(
                    "keep_loaded",
                    default=False,
                    tooltip="Ollama: keep the model in memory after its answer. Off: it is the drag's.",
                ),
            ],
            outputs=[
                sockets.MLLM.Output(display_name="mllm", tooltip="The model, for the nodes that ask it.")
            ],
        )

    @classmethod
    def execute(
        cls,
        server: Kind,
        address: str,
        model: str,
        temperature: float,
        seed: int,
        timeout: float,
        keep_loaded: bool,
    ) -> io.NodeOutput:
        check_mode("server", server, Kind)
        place_of(address)
        if not model.strip():
            raise DragError("the model has no name: write the one that the server knows it by")
        if not 1 <= timeout <= 3600:
            raise DragError(f"timeout is {timeout:g} s; it must be within 1 and 3600")
        return io.NodeOutput(
            Mllm(server, address.strip(), model.strip(), temperature, seed, timeout, keep_loaded)
        )
