"""What an adapter's folder must be before anything of it is loaded: safetensors, for this base, of sound numbers.

An adapter may come from anywhere. Its configuration can name modules to import, other files to load, or patterns that
never end, and pickled weights run whatever their writer wanted; none of that is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from pipeline.artifacts import read_json
from pipeline.errors import ArtifactError, ModelError
from pipeline.language.models import LanguageModel

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
MAX_CONFIG_BYTES = 1 << 20
MAX_RANK = 4096
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_REFUSED = ("auto_mapping", "megatron_config", "layer_replication", "loftq_config", "eva_config", "corda_config")
_PREFIX = "base_model.model."


def check_adapter(folder: Path, lm: LanguageModel) -> None:
    """Refuse an adapter that cannot be merged into this base, or should not be.

    Args:
        folder: With ``adapter_config.json`` and ``adapter_model.safetensors``.
        lm: The base.

    Raises:
        ModelError: A file is missing, pickled, torn or too large; the configuration asks for more than a LoRA; or a
            matrix has another shape or kind of number than the base needs, or holds one that is not finite.
    """
    require_files(folder)
    check_config(folder / CONFIG)
    path = folder / WEIGHTS
    whole = sum(parameter.numel() for parameter in lm.model.parameters())
    if (size := path.stat().st_size) > (limit := 4 * whole + MAX_CONFIG_BYTES):
        raise ModelError(f"{path}: has {size:,} bytes, more than all weights of the base {lm.name!r} ({limit:,})")
    modules = dict(lm.model.named_modules())
    for name, tensor in read_tensors(path).items():
        _check_tensor(path, name, tensor, modules, lm.name)


def require_files(folder: Path) -> None:
    """Refuse a folder without weights or configuration.

    Raises:
        ModelError: With what is missing.
    """
    require_weights(folder)
    if not (folder / CONFIG).is_file():
        raise ModelError(f"no adapter in {folder}: {CONFIG} is missing")


def require_weights(folder: Path) -> None:
    """Refuse a folder without an adapter's weights, and say so where it holds pickled ones instead.

    Raises:
        ModelError: With what is missing.
    """
    if (folder / WEIGHTS).is_file():
        return
    pickled = sorted(file.name for file in folder.glob("*") if file.suffix in PICKLED) if folder.is_dir() else []
    if pickled:
        raise ModelError(
            f"{folder} holds pickled weights ({pickled[0]}), which can run anything when they are read and are never "
            f"loaded; save the adapter as {WEIGHTS} (PEFT: save_pretrained(…, safe_serialization=True))"
        )
    raise ModelError(f"no adapter in {folder}: {WEIGHTS} is missing")


def check_config(path: Path) -> None:
    """Refuse a configuration that asks for more than low-rank matrices beside named linear layers.

    Raises:
        ModelError: It is no JSON object, too large, no LoRA, or sets what is refused.
    """
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ModelError(f"{path}: has {path.stat().st_size:,} bytes; expected at most {MAX_CONFIG_BYTES:,}")
    try:
        told = read_json(path)
    except ArtifactError as error:
        raise ModelError(str(error)) from None
    if not isinstance(told, dict):
        raise ModelError(f"{path}: expected a JSON object, found {type(told).__name__}")
    kind = str(told.get("peft_type", "")).upper()
    if "LORA" not in kind or kind == "XLORA":
        raise ModelError(
            f"{path}: holds a PEFT adapter of type {told.get('peft_type')!r}; an adapter is one set of weights, so it "
            "has to be a kind of LoRA, which can be merged into the base"
        )
    for key in _REFUSED:
        if told.get(key):
            raise ModelError(f"{path}: {key} is set, which can load or run other things; it is not supported")
    if not isinstance(told.get("init_lora_weights", True), bool):
        raise ModelError(f"{path}: init_lora_weights is {told['init_lora_weights']!r}; expected true or false")
    for key in ("target_modules", "exclude_modules", "layers_pattern"):
        if isinstance(told.get(key), str) and told[key] != "all-linear":
            raise ModelError(f"{path}: {key} is a pattern; expected a list of names, as patterns may never end")
    patterns = [pattern for key in ("rank_pattern", "alpha_pattern") for pattern in told.get(key) or {}]
    if any(not str(pattern).replace(".", "").replace("_", "").isalnum() for pattern in patterns):
        raise ModelError(f"{path}: rank_pattern or alpha_pattern holds a regular expression; expected plain names")
    for rank in (told.get("r", 8), *(told.get("rank_pattern") or {}).values()):
        if not isinstance(rank, int) or not 1 <= rank <= MAX_RANK:
            raise ModelError(f"{path}: rank is {rank!r}; expected 1 to {MAX_RANK}")
    if not isinstance(alpha := told.get("lora_alpha", 8), int | float) or not math.isfinite(alpha):
        raise ModelError(f"{path}: lora_alpha is {alpha!r}; expected a number")


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a safetensors file, by name.

    Raises:
        ModelError: It is no safetensors file, or torn.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: no whole safetensors file ({_first_line(error)}); copy or train it again") from None


def _check_tensor(path: Path, name: str, tensor: torch.Tensor, modules: Mapping[str, Any], base: str) -> None:
    if not tensor.is_floating_point() or tensor.element_size() < 2:
        raise ModelError(f"{path}: {name} has numbers of type {tensor.dtype}; expected float32, float16 or bfloat16")
    if not bool(torch.isfinite(tensor).all()):
        raise ModelError(f"{path}: {name} holds NaN or infinity; an adapter has finite numbers only")
    module, _, side = name.removeprefix(_PREFIX).partition(".lora_")
    if side not in ("A.weight", "B.weight") or "embed" in module:
        return
    weight = getattr(modules.get(module), "weight", None)
    if weight is None or weight.dim() != 2:
        raise ModelError(
            f"{path}: belongs to another base: {base!r} has no matrix {module}; set model.name to its base"
        )
    wanted = weight.shape[1] if side[0] == "A" else weight.shape[0]
    found = tuple(tensor.shape)
    if len(found) != 2 or found[1 if side[0] == "A" else 0] != wanted:
        expected = f"(rank, {wanted})" if side[0] == "A" else f"({wanted}, rank)"
        raise ModelError(
            f"{path}: belongs to another base: {name} has shape {found}, but {base!r} needs {expected}; "
            "set model.name to its base"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
