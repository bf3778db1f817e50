"""The learner that a configuration chooses; another one is a branch here and a value of ``learner``."""

from __future__ import annotations

from pipeline.config.liquid import PlasticityConfig
from pipeline.plasticity.competitive import CompetitiveLearner
from pipeline.plasticity.learner import PlasticLearner
from pipeline.plasticity.protocol import KeptLearner


def new_learner(config: PlasticityConfig) -> KeptLearner:
    """A learner that has seen nothing."""
    if config.learner == "competitive":
        return CompetitiveLearner(config.unsupervised, config.stream.outputs, config.seed)
    return PlasticLearner(config.model, config.sleep, config.stream.outputs, config.seed)
