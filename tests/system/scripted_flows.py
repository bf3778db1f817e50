"""The flows with scripted stand-ins for the language model, as a worker of another process loads them.

``lora_train`` of the first attempt writes ``holding`` below the artifact root, which names its worker, and then works
for ten minutes: time enough to lose its host.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from flows.consolidation import consolidation
from pipeline.artifacts import RunFolder
from tests.stages.examples import lora_train
from tests.stages.nights import ScriptedNight
from tests.system.hosts import HOLDING

_SECONDS = 600

__all__ = ["consolidation"]


def _held(run: RunFolder, *arguments: Any) -> Any:
    path = run.root / HOLDING
    try:
        with path.open("x") as file:
            file.write(os.environ["ENGRAM_WORKER"])
    except FileExistsError:
        return lora_train(run, *arguments)
    time.sleep(_SECONDS)
    return lora_train(run, *arguments)


ScriptedNight(pytest.MonkeyPatch()).put("lora_train", _held)
