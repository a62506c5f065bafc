"""The published methods, one file each, and the table of them: a new one is its file and its line here."""

from __future__ import annotations

from . import adaptivedrag as _adaptivedrag
from . import dragdiffusion as _dragdiffusion
from . import dragflow as _dragflow
from . import dragnext as _dragnext
from . import gooddrag as _gooddrag
from .record import Method

METHODS: dict[str, Method] = {
    m.name: m
    for m in (
        _dragflow.METHOD,
        _dragnext.METHOD,
        _gooddrag.METHOD,
        _dragdiffusion.METHOD,
        _adaptivedrag.METHOD,
    )
}
