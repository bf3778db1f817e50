"""Score one entrant on a frozen suite: who it was, on what, and every figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.artifacts import code_version
from pipeline.config import config_dict
from pipeline.config.examination import EvaluationConfig
from pipeline.config.protocol import ScoreConfig
from pipeline.progress import Progress
from pipeline.protocol.checkpoints import load_checkpoint
from pipeline.protocol.examination import examine
from pipeline.protocol.frozen import frozen, load_frozen

SCHEMA = "score/1"
_FREE = {"batch_size", "bootstrap"}  # settings of the examination that no answer depends on


def score(name: str, suite_name: str, config: ScoreConfig, root: Path, progress: Progress) -> dict[str, Any]:
    """Examine an entrant.

    Args:
        name: ``none``, ``champion``, a model's or adapter's folder, or a run.
        suite_name: A frozen suite.
        config: Of the examination.
        root: Artifact root.
        progress: Reports parts of the work.

    Returns:
        ``{schema, suite, entrant, base, settings, code_version}`` and the figures of
        `pipeline.protocol.examination.score_figures`. ``suite.complete`` says whether they compare with others'.

    Raises:
        ConfigError: No such suite.
        DataError: The suite is not the one that was frozen.
        ModelError: There is no such entrant, or it belongs to another base.
    """
    from pipeline.language.models import load_for_evaluation

    progress.phase("checking the suite")
    suite = load_frozen(suite_name, config.facts)
    progress.phase("loading the models")
    base = load_for_evaluation(config.model)
    entrant = load_checkpoint(name, base, config.model, root)
    known = frozen(suite_name)
    figures, _ = examine(base, entrant.weights, suite, config.evaluation, known.seed, progress)
    return {
        "schema": SCHEMA,
        "suite": {
            "name": suite_name,
            "sha256": known.sha256,
            "facts": len(suite.taught),
            "complete": is_complete(config, known.facts),
        },
        "entrant": {"name": entrant.name, "kind": entrant.kind, "digest": entrant.digest},
        "base": {"name": base.name, "digest": base.digest} | figures.pop("base"),
        "settings": config_dict(config),
        "code_version": code_version(),
        **figures,
    }


def is_complete(config: ScoreConfig, facts: int) -> bool:
    """Whether every question of the suite was asked as the protocol says."""
    protocol = EvaluationConfig(controls="full")
    asked = config.evaluation.model_copy(update={field: getattr(protocol, field) for field in _FREE})
    return config.facts in (None, facts) and asked == protocol
