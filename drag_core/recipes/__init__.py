"""The published methods, one file each, and the table of them."""

from __future__ import annotations

from .adaptivedrag import adaptivedrag
from .dragdiffusion import dragdiffusion
from .dragflow import dragflow
from .dragnext import dragnext
from .gooddrag import gooddrag

RECIPES = {
    "dragflow": dragflow,
    "dragnext": dragnext,
    "gooddrag": gooddrag,
    "dragdiffusion": dragdiffusion,
    "adaptivedrag": adaptivedrag,
}
