"""The LoRA adapter: attach it to chosen layers, save and load it as safetensors, merge it into the base."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig as PeftConfig
from peft import PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import Linear
from safetensors.torch import save

from pipeline.artifacts import read_json, write_bytes, write_json
from pipeline.config.language import LoraConfig
from pipeline.errors import ModelError, TrainingError
from pipeline.language.adapter_check import CONFIG, WEIGHTS, check_adapter, read_tensors, require_weights
from pipeline.language.models import LanguageModel


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that PEFT causes in transformers 5.17 by asking for a property's old name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield


def attach(lm: LanguageModel, config: LoraConfig, seed: int) -> PeftModel:
    """Put a fresh adapter into the model, in place; the base stays frozen and the adapter is float32.

    ``lm.model`` remains the bare causal model, now with the adapter inside its layers.
    """
    layers = len(lm.model.model.layers)
    if not 0 <= config.first_layer < layers:
        raise TrainingError(
            f"lora.first_layer={config.first_layer}, but the model {lm.name!r} has layers 0 to {layers - 1}"
        )
    torch.manual_seed(seed)  # PEFT initialises A from the global generator
    adapter = PeftConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=0.0,
        target_modules=list(config.targets),
        layers_to_transform=list(range(config.first_layer, layers)),
        use_rslora=config.rank_stabilised,
        bias="none",
        task_type="CAUSAL_LM",
    )
    with _quiet():
        return get_peft_model(lm.model, adapter)


def go_on_from(adapted: PeftModel, folder: Path) -> None:
    """Give a freshly attached adapter the weights of an earlier night's, in place.

    Raises:
        ModelError: There is no adapter in the folder.
        TrainingError: It has another rank, other matrices or other layers.
    """
    require_weights(folder)
    earlier, fresh = read_tensors(folder / WEIGHTS), get_peft_model_state_dict(adapted)
    found, wanted = ({name: tuple(value.shape) for name, value in some.items()} for some in (earlier, fresh))
    if found != wanted:
        raise TrainingError(
            f"the adapter in {folder} has other matrices, layers or rank than lora.* asks for: "
            "a night that continues it needs its settings; set fresh=true to begin from the base"
        )
    set_peft_model_state_dict(adapted, earlier)


def save_adapter(adapted: PeftModel, folder: Path) -> None:
    """Save weights and configuration; the same adapter gives the same bytes in every process."""
    adapted.save_pretrained(str(folder))
    config = read_json(folder / CONFIG)
    config["target_modules"] = sorted(config["target_modules"])  # PEFT writes a set, in an order of the process's own
    write_json(folder / CONFIG, config)


def average_adapters(fast: Path, slow: Path | None, decay: float, folder: Path) -> None:
    """Save the exponential moving average of the adapters of many nights, tonight's included, as an adapter.

    Every entry is ``decay`` times the average before plus ``1 - decay`` times tonight's (Tarvainen and Valpola 2017,
    "Mean teachers are better role models", equation 2). The factors A and B are averaged, not the updates B A: a mean
    of updates would need a rank of its own for every night. As each night goes on from the factors of the one before,
    they stay close, and the two means differ by the covariance of A and B over the nights alone.

    Args:
        fast: Folder of tonight's adapter.
        slow: Folder of the average before; None begins it with tonight's.
        decay: Weight of the average before, in [0, 1).
        folder: Where the average goes; it is written whole, from the same files the same bytes.

    Raises:
        ModelError: There is no adapter in a folder.
        TrainingError: The average before is of other matrices, layers or rank.
    """
    tonight, before = (_weights(path) for path in (fast, slow or fast))
    if {name: w.shape for name, w in tonight.items()} != {name: w.shape for name, w in before.items()}:
        raise TrainingError(f"the slow average in {slow} is of other matrices, layers or rank than the adapter {fast}")
    mean = {name: torch.lerp(before[name].float(), tonight[name].float(), 1 - decay) for name in sorted(tonight)}
    write_bytes(folder / WEIGHTS, save(mean, metadata={"format": "pt"}))
    write_json(folder / CONFIG, read_json(fast / CONFIG))


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    require_weights(folder)
    return read_tensors(folder / WEIGHTS)


def load_adapter(lm: LanguageModel, folder: Path) -> LanguageModel:
    """A copy of the base with the adapter of ``folder`` merged into its weights in float32; the base is untouched.

    Raises:
        ModelError: As `pipeline.language.adapter_check.check_adapter`, or PEFT cannot merge it.
    """
    check_adapter(folder, lm)
    model = copy.deepcopy(lm.model).float()
    try:
        with _quiet():
            merged = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, ImportError, NotImplementedError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{folder} is no adapter of {lm.name!r} that can be merged into its weights: {first}"
        ) from error
    merged.requires_grad_(False)
    merged.eval()
    merged.to(lm.device)
    shards = lm.shards if lm.dtype == torch.float32 else None  # others would load the base in the type told here
    return replace(lm, model=merged, dtype=torch.float32, adapter=folder, shards=shards)


def trainable(model: Any) -> dict[str, torch.nn.Parameter]:
    """The adapter's parameters by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def adapted_layers(model: Any) -> dict[str, Linear]:
    """The layers that hold an adapter, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Linear)}


def b_norm(model: Any) -> float:
    """Frobenius norm over all B matrices; zero means that nothing was learned."""
    squares = [p.detach().double().square().sum() for name, p in model.named_parameters() if "lora_B" in name]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0
