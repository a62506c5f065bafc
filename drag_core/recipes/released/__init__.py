"""The released codes' faults, one file a code.

They are wrappers around the parts of a recipe, of which neither the loop nor the kernels know.
"""

from __future__ import annotations

from .dragflow import Cleaner, HalfStepAhead, KVPairing, Unpacked, kv_view
from .dragnext import CoarseRegions, CountedBackground
from .gooddrag import Patience

__all__ = [
    "Cleaner",
    "CoarseRegions",
    "CountedBackground",
    "HalfStepAhead",
    "KVPairing",
    "Patience",
    "Unpacked",
    "kv_view",
]
