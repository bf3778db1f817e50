"""The pinned set works together. `pip check` stays green when it does not, so this runs what Engram needs."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# Each runs in a process of its own: one library's import must not hide that another one lacks something.
SNIPPETS = {
    "torch": "import torch; assert torch.ones(2, 2).bfloat16().matmul(torch.ones(2, 2).bfloat16()).sum() == 8",
    "transformers": "from transformers import AutoTokenizer, LlamaForCausalLM, BertModel, LlamaConfig; LlamaConfig()",
    "peft": "from peft import LoraConfig, PeftModel, get_peft_model; LoraConfig()",
    "datasets": "from datasets import Dataset; assert len(Dataset.from_dict({'a': [1, 2]})) == 2",
    "spikingjelly": (
        "import torch; from spikingjelly.activation_based import neuron; lif = neuron.LIFNode();"
        "x = torch.ones(3, requires_grad=True); lif(4 * x).sum().backward(); assert x.grad.abs().sum() > 0"
    ),
    "mlflow": "from mlflow.tracking import MlflowClient",
    "prefect": "from prefect import flow, task; from prefect.server.api.server import create_app; create_app()",
    "duckdb": "import duckdb; assert duckdb.connect().sql('select 1').to_arrow_table().num_rows == 1",
    "pyarrow": "import pyarrow.parquet, pyarrow.dataset",
}


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_library_imports_and_runs(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SNIPPETS[name]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", ["torchvision", "torchaudio"])
def test_what_breaks_transformers_is_not_installed(name: str) -> None:
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version(name)


def test_the_lock_is_what_is_installed() -> None:
    lines = (REPOSITORY / "requirements.lock").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert {name: metadata.version(name) for name in pins} == pins
    torch = re.search(r"^TORCH := torch==(\S+)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert torch and metadata.version("torch").split("+")[0] == torch.group(1)


def test_every_name_in_every_public_surface_exists() -> None:
    for init in sorted((REPOSITORY / "src" / "pipeline").rglob("__init__.py")):
        name = ".".join(init.parent.relative_to(REPOSITORY / "src").parts)
        module = importlib.import_module(name)
        missing = [item for item in getattr(module, "__all__", []) if not hasattr(module, item)]
        assert not missing, f"{name}.__all__ names {missing}"
        assert module.__doc__, f"{name} says nothing about itself"


def test_the_core_imports_neither_prefect_nor_the_layers_above_it() -> None:
    for path in sorted((REPOSITORY / "src" / "pipeline").rglob("*.py")):
        imported = set(re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(), re.MULTILINE))
        part = path.relative_to(REPOSITORY / "src" / "pipeline").parts[0]
        if part == "cli":  # the outermost layer
            continue
        banned = {"tasks", "flows", "pipeline.cli"} | ({"prefect"} if part != "services" else set())
        if part in ("evaluation", "language"):
            banned.add("pipeline.stores")
        wrong = {name for name in imported if any(name == ban or name.startswith(f"{ban}.") for ban in banned)}
        assert not wrong, f"{path}: imports {sorted(wrong)}"
