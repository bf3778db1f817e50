"""Configuration: one frozen, typed model per stage, loaded from YAML and ``--set``.

config = load_config("consolidation/episodic", ["suite.n=8"])
config_hash(config)             # what decides whether two runs are the same run
"""

from pipeline.config.columns import ColumnsConfig
from pipeline.config.continual import ContinualConfig, LearnerConfig, MethodConfig
from pipeline.config.examination import EvaluationConfig, GuardsConfig, TrackingConfig
from pipeline.config.hashing import canonical_json, config_dict, config_hash
from pipeline.config.language import DistilConfig, LoraConfig, ModelConfig
from pipeline.config.liquid import PlasticityConfig
from pipeline.config.loading import (
    config_root,
    deployments,
    dump_config,
    known_keys,
    load_config,
    load_section,
    read_config,
)
from pipeline.config.memory import (
    EncoderConfig,
    GateConfig,
    ReplayConfig,
    ReplayMix,
    ReplayWeights,
    StoreConfig,
    SuiteConfig,
)
from pipeline.config.needle import NeedleConfig
from pipeline.config.parameters import RUN_ID, override_pattern
from pipeline.config.schema import FLOWS, ConsolidationConfig, FlowConfig, default_root, register_flow
from pipeline.config.section import FilePath, Name, Section, check_name
from pipeline.config.sleepwake_flow import SleepWakeConfig

__all__ = [
    "FLOWS",
    "RUN_ID",
    "ColumnsConfig",
    "ConsolidationConfig",
    "ContinualConfig",
    "DistilConfig",
    "EncoderConfig",
    "EvaluationConfig",
    "FilePath",
    "FlowConfig",
    "GateConfig",
    "GuardsConfig",
    "LearnerConfig",
    "LoraConfig",
    "MethodConfig",
    "ModelConfig",
    "Name",
    "NeedleConfig",
    "PlasticityConfig",
    "ReplayConfig",
    "ReplayMix",
    "ReplayWeights",
    "Section",
    "SleepWakeConfig",
    "StoreConfig",
    "SuiteConfig",
    "TrackingConfig",
    "canonical_json",
    "check_name",
    "config_dict",
    "config_hash",
    "config_root",
    "default_root",
    "deployments",
    "dump_config",
    "known_keys",
    "load_config",
    "load_section",
    "override_pattern",
    "read_config",
    "register_flow",
]
