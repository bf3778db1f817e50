"""``lora.processes``: two processes leave the adapter that one leaves, on CPUs over gloo and on GPUs over NCCL."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.config import ConsolidationConfig
from pipeline.errors import ConfigError
from pipeline.language import encoding
from pipeline.language.rows import TrainingRow
from pipeline.language.training import Step
from pipeline.progress import Silent
from pipeline.stages.lora_train import CHECKPOINT, train_adapter
from pipeline.stages.night import configure
from tests.language.test_exchange import rows_of
from tests.language.tiny import tiny_language_model
from tests.stages.test_sleep import Killed, KilledAt

SETTINGS = (
    "model.dtype=float32", "lora.first_layer=2", "lora.rank=4", "lora.epochs=4", "lora.batch_size=4",
    "lora.forms_per_epoch=2", "lora.checkpoint_steps=1", "lora.learning_rate=0.01", "lora.anchor_weight=0.1",
)  # fmt: skip
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")),
]
CLOSE = {"cpu": 1e-5, "cuda": 1e-3}  # the order of sums is another one, and a GPU's own changes from run to run
KNOWN = ("f1",)
WORTHWHILE = 1000


@pytest.fixture(autouse=True)
def prefixes_as_in_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of the language model share shorter ones, in this process alone, and those do not shape the start."""
    monkeypatch.setattr(encoding, "WORTHWHILE", WORTHWHILE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a folder, from which every process loads it."""
    folder, lm = tmp_path_factory.mktemp("tiny"), tiny_language_model()
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def rows() -> list[TrainingRow]:
    return rows_of(tiny_language_model())


def config(model: Path, device: str, *settings: str) -> ConsolidationConfig:
    return configure("consolidation/episodic", (f"model.name={model}", f"model.device={device}", *SETTINGS, *settings))


def trained(
    rows: list[TrainingRow], config: ConsolidationConfig, folder: Path, progress: Silent | None = None
) -> tuple[list[Step], dict[str, float], dict[str, torch.Tensor]]:
    folder.mkdir(exist_ok=True)
    steps, losses = train_adapter(rows, config, folder, progress or Silent(), known=KNOWN)
    return steps, losses, load_file(folder / "adapter" / "adapter_model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_two_processes_leave_the_adapter_of_one_even_after_a_kill(
    rows: list[TrainingRow], model: Path, device: str, tmp_path: Path
) -> None:
    steps, losses, weights = trained(rows, config(model, device), tmp_path / "one")
    two = config(model, device, "lora.processes=2")
    (tmp_path / "two").mkdir()
    with pytest.raises(Killed):
        trained(rows, two, tmp_path / "two", KilledAt(4))
    assert (tmp_path / "two" / CHECKPOINT).exists()
    found = trained(rows, two, tmp_path / "two")
    assert [(s.step, s.examples, s.tokens) for s in found[0]] == [(s.step, s.examples, s.tokens) for s in steps]
    assert [s.loss for s in found[0]] == pytest.approx([s.loss for s in steps], rel=CLOSE[device] * 100)
    assert len(losses) == 3 and found[1] == pytest.approx(losses, rel=CLOSE[device] * 100)
    assert weights.keys() == found[2].keys()
    for name, weight in weights.items():
        torch.testing.assert_close(found[2][name], weight, rtol=CLOSE[device] * 10, atol=CLOSE[device], msg=name)
    assert any(weight.abs().max() > 100 * CLOSE[device] for name, weight in weights.items() if "lora_B" in name)
    assert {path.name for path in (tmp_path / "two").iterdir()} == {"adapter", CHECKPOINT}


def test_more_processes_than_gpus_are_refused(
    rows: list[TrainingRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"lora\.processes=2, but PyTorch sees 1 GPU here"):
        train_adapter(rows, config(tmp_path, "cuda", "lora.processes=2"), tmp_path, Silent())
