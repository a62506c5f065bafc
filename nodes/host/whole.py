"""The network of a MODEL as that MODEL has it, whatever the host has loaded of it meanwhile.

Clones of a patcher share one network, and the host puts a clone's object patches (blocks taken out, layers
replaced) on it while that clone is loaded. Who counts blocks or measures layers on the shared network counts
those of the clone that ran last.
"""

from __future__ import annotations

from typing import Any

from torch import nn

ROOT = "diffusion_model"


def net_of(patcher: Any) -> Any:
    """Returns the patcher's network to be read, never to be run.

    Its own object patches are there, those of another clone that is loaded are not. The same class; without
    patches the network itself.
    """
    net = patcher.get_model_object(ROOT)
    names = {*patcher.object_patches, *getattr(patcher, "object_patches_backup", ())}
    below = sorted((n for n in names if n.startswith(f"{ROOT}.")), key=lambda n: n.count("."))
    if not below:
        return net
    view = _shallow(net)
    for name in below:
        path, value = name.split(".")[1:], patcher.get_model_object(name)
        if isinstance(value, nn.Module):  # a replaced function says nothing of layers and sizes
            _put(view, path, value)
    return view


def _put(view: nn.Module, path: list[str], value: nn.Module) -> None:
    for part in path[:-1]:
        there = view._modules.get(part)
        if there is None:  # a part that this patcher's own patch has taken away
            return
        view._modules[part] = below = _shallow(there)
        view = below
    view._modules[path[-1]] = value


def _shallow(module: nn.Module) -> nn.Module:
    """Copies a module with a list of submodules of its own."""
    out: nn.Module = object.__new__(type(module))
    out.__dict__ = {**module.__dict__, "_modules": dict(module._modules)}
    return out
