"""What a night tells the next one: how often each episode was used, and whether its probe question passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.artifacts import RunFolder, Stage, read_json

FILE = "feedback.json"
_REPORTERS = ("sleep_distil", "evaluate")


@dataclass(frozen=True)
class Feedback:
    """Feedback by episode id: retrievals, and whether the probe question was answered with the memory off."""

    usage: dict[str, float]
    probes: dict[str, bool]


def write_feedback(stage: Stage, usage: Mapping[str, float], probes: Mapping[str, bool]) -> None:
    """Write ``feedback.json`` into a stage's folder."""
    stage.write_json(FILE, {"usage": dict(usage), "probes": dict(probes)})


def read_feedback(run: RunFolder) -> Feedback:
    """Feedback of all stages of a run; empty where none was written."""
    usage: Counter[str] = Counter()
    probes: dict[str, bool] = {}
    for name in _REPORTERS:
        path = run.stage_folder(name) / FILE
        if path.is_file():
            told = read_json(path)
            usage.update({key: float(value) for key, value in told["usage"].items()})
            probes |= {key: bool(value) for key, value in told["probes"].items()}
    return Feedback(dict(usage), probes)
