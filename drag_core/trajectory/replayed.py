"""A backbone whose K/V are made anew from the latents of the inversion where they are asked for."""

from __future__ import annotations

from torch import Tensor

from ..types import KV, Backbone, FeatureTap, KVInject, KVRecord


class ReplayingBackbone:
    """A Backbone for the storage "recompute".

    It notes latents where K/V would be stored, and where they are asked for runs `origin` (None: itself) at
    the noted one first.
    """

    def __init__(self, inner: Backbone, origin: Backbone | None = None) -> None:
        self.inner, self.origin = inner, inner if origin is None else origin

    def _before(self, z: Tensor, t: float, kv: KV) -> KV:
        if isinstance(kv, KVRecord) and kv.cache.note(t, z, kv.blocks, kv.text):
            return None
        if isinstance(kv, KVInject):
            kv.cache.make_anew({b: kv.cache.level(t, b) for b in kv.blocks}, self.origin, z)
        return kv

    def predict(self, z: Tensor, t: float, kv: KV = None) -> Tensor:
        return self.inner.predict(z, t, self._before(z, t, kv))

    def features(
        self, z: Tensor, t: float, taps: tuple[FeatureTap, ...], kv: KV = None, *, stop: bool = True
    ) -> tuple[list[Tensor], Tensor | None]:
        return self.inner.features(z, t, taps, self._before(z, t, kv), stop=stop)
