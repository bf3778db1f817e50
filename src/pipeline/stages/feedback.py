"""What a night tells the next one: how often an episode was used, how well it was learned, whether its probe passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.artifacts import RunFolder, Stage, read_json, stage_results
from pipeline.artifacts.manifest import check_listed

FILE = "feedback.json"
WITHDRAWN = "withdrawn.json"
"""In the folder of a run whose adapter was champion and was rolled back, see `pipeline.sessions.rollback`."""
_REPORTERS = ("sleep_distil", "lora_train", "evaluate")


@dataclass(frozen=True)
class Feedback:
    """Feedback by episode id.

    Attributes:
        usage: Retrievals.
        probes: Whether the probe question was answered with the memory off.
        losses: Cross-entropy at the end of training, nats per answer token.
    """

    usage: dict[str, float]
    probes: dict[str, bool]
    losses: dict[str, float]


def write_feedback(
    stage: Stage,
    usage: Mapping[str, float] | None = None,
    probes: Mapping[str, bool] | None = None,
    losses: Mapping[str, float] | None = None,
) -> None:
    """Write ``feedback.json`` into a stage's folder."""
    stage.write_json(FILE, {"usage": dict(usage or {}), "probes": dict(probes or {}), "losses": dict(losses or {})})


def read_feedback(run: RunFolder) -> Feedback:
    """Feedback of all stages of a run; empty where none was written.

    A night whose guards failed, or whose champion was rolled back: of it retrievals alone count, and its facts are due.
    """
    told = _reported(run)
    judged = stage_results(run).get("promote")
    if (judged is not None and not judged.metrics["passed"]) or is_withdrawn(run):
        return Feedback(told.usage, {}, {})
    return told


def is_withdrawn(run: RunFolder) -> bool:
    """Whether the run's adapter was champion, and was rolled back."""
    return (run.path / WITHDRAWN).is_file()


def withdrawn_passes(run: RunFolder) -> tuple[str, ...]:
    """Ids that a withdrawn run had told to be learned; none of any other run."""
    return tuple(name for name, passed in _reported(run).probes.items() if passed) if is_withdrawn(run) else ()


def _reported(run: RunFolder) -> Feedback:
    usage: Counter[str] = Counter()
    probes: dict[str, bool] = {}
    losses: dict[str, float] = {}
    for name in _REPORTERS:
        path = run.stage_folder(name) / FILE
        if path.is_file():
            told = read_json(check_listed(path))
            usage.update({key: float(value) for key, value in told["usage"].items()})
            probes |= {key: bool(value) for key, value in told["probes"].items()}
            losses |= {key: float(value) for key, value in told.get("losses", {}).items()}
    return Feedback(dict(usage), probes, losses)
