"""From a configuration to its device, its text and its model; from a model to its file and back."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import nn

from pipeline import devices
from pipeline.artifacts import write_bytes
from pipeline.catalogue.data import located
from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.text import Corpus, read_corpus


def device_of(config: SleepWakeConfig) -> str:
    """``cpu``; or ``cuda``, where matrix products may round to TF32 from now on and attention is not cuDNN's.

    Raises:
        ConfigError: A GPU is asked for and none is visible.
    """
    device = devices.device_of(config.device)
    if device == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cuda.enable_cudnn_sdp(False)  # it plans anew for every shape, and batches here have many
    return device


def text_file(config: SleepWakeConfig) -> Path:
    """Where the base text lies.

    Raises:
        DataError: The data set is nowhere.
    """
    return config.text.path or located("text") / "tinyshakespeare.txt"


def corpus_of(config: SleepWakeConfig) -> Corpus:
    """The base text in its parts.

    Raises:
        DataError: It is nowhere, or too short.
    """
    return read_corpus(text_file(config))


def new_model(config: SleepWakeConfig, device: str) -> SleepWakeModel:
    """The model before any training; the flow's seed decides its weights."""
    return SleepWakeModel(config.model, config.seed).to(device)


def save_model(model: nn.Module, path: Path) -> Path:
    """Write a network's weights as safetensors."""
    write_bytes(path, save({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}))
    return path


def load_model(config: SleepWakeConfig, path: Path, device: str) -> SleepWakeModel:
    """What `save_model` wrote, in evaluation mode."""
    model = new_model(config, device)
    model.load_state_dict(load_file(path))
    return model.eval()


def parameters(model: SleepWakeModel) -> int:
    """Numbers that training changes."""
    return sum(weight.numel() for weight in model.parameters())
