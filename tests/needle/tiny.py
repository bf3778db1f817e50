"""A needle model small enough that a test of it is instant."""

from __future__ import annotations

from pipeline.config.emma import EmmaConfig, HolographicConfig, NeedleModelConfig, ReadConfig
from pipeline.needle.layout import Layout
from pipeline.needle.model import NeedleModel
from tests.needle.sequences import LAYOUT

TINY = NeedleModelConfig(emb_dim=16, hid_dim=24, mem_dim=64)
MARKED, LEARNED = EmmaConfig(), EmmaConfig(writes="learned")
MEMORY = HolographicConfig(bucket_count=4, k_top=2)


def tiny(
    emma: EmmaConfig = MARKED,
    memory: HolographicConfig = MEMORY,
    read: ReadConfig | None = None,
    model: NeedleModelConfig = TINY,
    layout: Layout = LAYOUT,
    seed: int = 3,
) -> NeedleModel:
    return NeedleModel(model, emma, memory, read or ReadConfig(), layout, seed)
