"""Every key of the document sets what means the same here, or is refused with a reason."""

from __future__ import annotations

import pytest

from pipeline.config import SleepWakeConfig, load_config
from pipeline.config.loading import known_keys
from pipeline.config.sleepwake_keys import REFUSED, TAKEN
from pipeline.errors import ConfigError

VALUES = {"model.width": "128", "sleep.lr": "0.001", "store.consolidation_quantile": "0.7"}


@pytest.mark.parametrize("key", sorted(TAKEN))
def test_a_key_that_is_taken_sets_its_setting(key: str) -> None:
    target = TAKEN[key]
    field = known_keys(SleepWakeConfig)[target]
    value = str(field.default)
    config = load_config("sleepwake/ablations", [f"{key}={value}"])
    section, name = target.split(".")
    assert str(getattr(getattr(config, section), name)) == value


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_a_key_that_is_refused_says_why(key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config("sleepwake/tiny", [f"{key}=1"])
    assert key in str(refused.value) and REFUSED[key] in str(refused.value)


def test_two_names_of_one_setting_have_to_agree() -> None:
    same = ["titans.sleep_phase_duration=50", "training.sleep_phase_steps=50"]
    config = load_config("sleepwake/tiny", same)
    assert isinstance(config, SleepWakeConfig) and config.sleep.steps == 50
    with pytest.raises(
        ConfigError, match=r"training.sleep_phase_steps=60: titans.sleep_phase_duration already says 50"
    ):
        load_config("sleepwake/tiny", [same[0], "training.sleep_phase_steps=60"])


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ConfigError, match="the document has no such key"):
        load_config("sleepwake/tiny", ["titans.dream=1"])
    with pytest.raises(ConfigError, match=r"unknown key 'sleep.dream'"):
        load_config("sleepwake/tiny", ["sleep.dream=1"])
