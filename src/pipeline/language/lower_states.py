"""Hand the frozen layers' output from ``sleep_distil`` to ``lora_train``: one pass over a night's rows instead of two.

The file is scratch. Training computes the same states itself wherever the file is missing, is damaged, or was made for
another first layer, number format or model.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pipeline.language.encoding import EncodedRows
from pipeline.language.fingerprint import DIGEST, fingerprint
from pipeline.language.models import LanguageModel

FILE = "lower_states.safetensors"


def _label(lm: LanguageModel, encoded: EncodedRows) -> dict[str, str]:
    return {"first_layer": str(encoded.first_layer), "dtype": str(lm.dtype), "model": lm.digest}


def save_lower(lm: LanguageModel, encoded: EncodedRows, path: Path) -> None:
    """Write what `run_lower` computed: rows one after the other (tokens, width), and every prefix."""
    tensors = {"rows": torch.cat([row.lower for row in encoded.rows if row.lower is not None]).cpu()}
    for index, group in enumerate(encoded.groups):
        if group.lower is not None:
            tensors[f"prefix/{index}"] = group.lower.cpu().contiguous()
    label = _label(lm, encoded)
    save_file(tensors, path, metadata={**label, DIGEST: fingerprint(tensors)})


def load_lower(lm: LanguageModel, encoded: EncodedRows, path: Path) -> bool:
    """Fill in ``lower`` from a file; False, and nothing changed, when there is none that fits."""
    if not path.is_file():
        return False
    lengths = [len(row.tokens) for row in encoded.rows]
    prefixes = [i for i, group in enumerate(encoded.groups) if group.tokens]
    try:
        with safe_open(path, framework="pt") as file:
            names = {"rows", *(f"prefix/{i}" for i in prefixes)}
            told = file.metadata() or {}
            digest = told.pop(DIGEST, None)
            if told != _label(lm, encoded) or set(file.keys()) != names:
                return False
            found = {name: file.get_tensor(name) for name in names}
            if fingerprint(found) != digest:
                return False
            states = {name: tensor.to(lm.device) for name, tensor in found.items()}
    except (SafetensorError, OSError):
        return False
    if len(states["rows"]) != sum(lengths) or any(
        states[f"prefix/{i}"].shape[0] != len(encoded.groups[i].tokens) for i in prefixes
    ):
        return False
    for row, lower in zip(encoded.rows, torch.split(states["rows"], lengths), strict=True):
        row.lower = lower
    for index in prefixes:
        encoded.groups[index].lower = states[f"prefix/{index}"]
    return True
