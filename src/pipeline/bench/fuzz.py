"""``engram bench fuzz``: inputs that nobody would write through every way in, counted, and what they found.

Each way in is fuzzed by a process of its own, guided by the coverage of the product's code (`pipeline.fuzzing`). What
counts is that nothing is found: no traceback but the product's own errors, no input that takes longer than
`pipeline.fuzzing.examine.SECONDS`, and no file that a refused input leaves behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.bench.registry import Figures, register_benchmark
from pipeline.config.benchmarks import FuzzBenchConfig
from pipeline.errors import ConfigError, EngramError

SLOWEST_START = 300.0
"""Seconds that a process may take beside its inputs, to import everything under instrumentation."""


@register_benchmark("fuzz", "inputs tried through every way in, and what they found")
def fuzz(settings: Sequence[str]) -> Figures:
    """Fuzz every way in.

    Args:
        settings: Overrides of configs/benchmarks/fuzz.yaml.

    Raises:
        ConfigError: A setting is wrong, or atheris is not installed.
        EngramError: A campaign ended by itself, or something was found; the message names it and its input.
    """
    from pipeline.config import config_root, load_section

    config = load_section(FuzzBenchConfig, config_root() / "benchmarks" / "fuzz.yaml", settings)
    if find_spec("atheris") is None:
        raise ConfigError("engram bench fuzz needs atheris: run `make fuzz`, or pip install -r requirements-fuzz.txt")
    folder = config.folder or Path(tempfile.mkdtemp(prefix="engram-fuzz-"))
    rows = {name: campaign(name, config, folder / name) for name in ways(config.only)}
    found = [f"{name}: {one}" for name, row in rows.items() for one in row["findings"]]
    if found:
        raise EngramError(f"{len(found)} findings, inputs below {folder}:\n" + "\n".join(found))
    table = {
        name: {"inputs": row["inputs"], "a second": row["inputs"] / row["seconds"], "slowest, s": row["slowest_s"]}
        | {"corpus": row["corpus"], "findings": len(row["findings"])}
        for name, row in rows.items()
    }
    return {"inputs": sum(row["inputs"] for row in rows.values()), "findings": len(found), "ways in": table}


def ways(only: str) -> list[str]:
    """The ways in that are fuzzed.

    Raises:
        ConfigError: There is none of that name.
    """
    from pipeline.fuzzing.targets import WAYS

    if only and only not in WAYS:
        raise ConfigError(f"only: expected one of {', '.join(WAYS)}, found {only!r}")
    return [only] if only else list(WAYS)


def campaign(name: str, config: FuzzBenchConfig, folder: Path) -> dict[str, Any]:
    """One way in, by a process of its own; returns what it wrote.

    Raises:
        EngramError: It ended before its last input; what it printed last is told.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = folder / "figures.json"
    figures.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pipeline.fuzzing.campaign", name, str(config.inputs), str(config.seed)]
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    with (folder / "log").open("wb") as log:
        subprocess.run(
            [*command, str(folder)],
            env=os.environ | {"PYTHONPATH": path},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=SLOWEST_START + config.seconds,
        )
    if not figures.exists():
        told = (folder / "log").read_text(errors="replace").strip().splitlines()[-5:]
        raise EngramError(f"{name}: the campaign ended before its last input; {folder / 'log'} ends with {told}")
    read: dict[str, Any] = json.loads(figures.read_bytes())
    return read
