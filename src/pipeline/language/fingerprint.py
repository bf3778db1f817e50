"""Digest of tensors in memory, for files of them that no manifest lists: checkpoints and scratch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch

DIGEST = "sha256"  # key of a safetensors file's metadata


def fingerprint(tensors: Mapping[str, torch.Tensor], text: str = "") -> str:
    """SHA-256 over names, shapes, types and bytes, 64 hex digits.

    Args:
        tensors: By name, in any order, on the CPU.
        text: What belongs to them.
    """
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
