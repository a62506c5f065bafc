"""The host's compiler and CUDA graphs, off while a drag or a sampler with a patch of ours runs.

They record the memory and the kernels of one pass and replay them in the next ones, at the same addresses and
without Python. What autograd keeps until backward and K/V of another pass lie outside such a record, an early
stop leaves it open, and hooks are not called in a replay.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy
import comfy.cli_args
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key

KEY = "drag_uncompiled"  # of the wrapper on patched models
SWITCHES = ("disable_comfy_compiler", "disable_cuda_graphs")  # the host reads them at every call of a model
_told: set[str] = set()


@contextmanager
def uncompiled() -> Iterator[None]:
    """Context manager: while open the host neither compiles nor records.

    Afterwards its switches are as they were, and what a stopped pass left in its queues is gone. May be
    nested. Where the host has no such switch it does nothing.
    """
    args = comfy.cli_args.args
    before = {name: getattr(args, name) for name in SWITCHES if hasattr(args, name)}
    if not all(before.values()) and "off" not in _told:
        _told.add("off")
        logging.info("drag: ComfyUI's compiler and CUDA graphs are off while drags and our patches run")
    try:
        for name in before:
            setattr(args, name, True)
        yield
    finally:
        for name, value in before.items():
            setattr(args, name, value)
        # an early stop leaves weights that were fetched ahead for blocks which never ran
        clean = getattr(getattr(comfy, "model_prefetch", None), "cleanup_prefetch_queues", None)
        if clean is not None:
            clean()


def _sampling(executor: Any, *args: Any, **kw: Any) -> Any:
    with uncompiled():
        return executor(*args, **kw)


def uncompiled_sampling(patcher: Any) -> Any:
    """Returns `patcher` itself, with which stock samplers now run uncompiled.

    Call it for every patcher that a patch of ours was put on; it adds its wrapper once however many there
    are.
    """
    options = patcher.model_options.setdefault("transformer_options", {})
    # in the options, as the adapter's: the host compares patchers by the wrappers that hang on them
    if not options.get("wrappers", {}).get(WrappersMP.OUTER_SAMPLE, {}).get(KEY):
        add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, _sampling, options)
    return patcher
