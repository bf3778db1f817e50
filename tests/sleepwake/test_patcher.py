"""Patches begin where the threshold, the limits and nothing later say so."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from pipeline.config.sleepwake import PatchConfig
from pipeline.errors import DataError
from pipeline.sleepwake.byte_model import entropies
from pipeline.sleepwake.patcher import controlled, fit_threshold, mean_patch, patch_numbers, patch_sizes, patch_starts
from tests.sleepwake.tiny import model, text


def noise(rows: int = 8, length: int = 500, seed: int = 0) -> Tensor:
    return torch.randn(rows, length, generator=torch.Generator().manual_seed(seed)).exp()


def by_hand(entropy: list[float], threshold: float, config: PatchConfig) -> list[bool]:
    """The rule, one byte after another."""
    starts, last = [True], 0
    for position in range(1, len(entropy)):
        signal = entropy[position] - (entropy[position - 1] if config.rule == "monotonic" else 0.0)
        size = position - last
        starts.append((signal > threshold and size >= config.min_patch) or size >= config.max_patch)
        last = position if starts[-1] else last
    return starts


@given(
    entropy=st.lists(st.floats(0, 5, width=32), min_size=1, max_size=40),
    threshold=st.floats(-1, 5, width=32),
    limits=st.sampled_from([(1, 40), (1, 5), (3, 7), (4, 4)]),
    rule=st.sampled_from(["global", "monotonic"]),
)
def test_starts_are_those_of_the_rule(
    entropy: list[float], threshold: float, limits: tuple[int, int], rule: str
) -> None:
    config = PatchConfig.model_validate(
        {"rule": rule, "min_patch": limits[0], "max_patch": limits[1], "target": limits[0]}
    )
    values = torch.tensor([entropy], dtype=torch.float64)
    assert patch_starts(values, threshold, config)[0].tolist() == by_hand(entropy, threshold, config)


def test_sequences_of_a_batch_do_not_share_boundaries() -> None:
    entropy, config = noise(), PatchConfig(min_patch=2, max_patch=9)
    together = patch_starts(entropy, 1.0, config)
    alone = torch.cat([patch_starts(row[None], 1.0, config) for row in entropy])
    assert torch.equal(together, alone)
    assert not torch.equal(together[0], together[1])


def test_a_byte_moves_only_boundaries_behind_it() -> None:
    net = model()
    values = torch.from_numpy(text()[:24].astype(np.int64))[None]
    threshold = float(entropies(net, values).detach().median())
    before = patch_starts(entropies(net, values), threshold, PatchConfig())
    moved = 0
    for position in range(24):
        other = values.clone()
        other[0, position] = 0
        after = patch_starts(entropies(net, other), threshold, PatchConfig())
        assert torch.equal(before[:, : position + 1], after[:, : position + 1])
        moved += int(not torch.equal(before, after))
    assert moved


@pytest.mark.parametrize("rule", ["global", "monotonic"])
@pytest.mark.parametrize("limits", [(1, 1000), (1, 12), (3, 8)])
def test_a_fitted_threshold_gives_the_target_on_other_text(rule: str, limits: tuple[int, int]) -> None:
    config = PatchConfig.model_validate({"rule": rule, "min_patch": limits[0], "max_patch": limits[1]})
    threshold = fit_threshold(noise(40), config)
    assert mean_patch(patch_starts(noise(40, seed=1), threshold, config)) == pytest.approx(4.5, rel=0.05)


def test_without_limits_the_threshold_is_the_quantile() -> None:
    entropy = noise(40, 500)
    threshold = fit_threshold(entropy, PatchConfig(max_patch=1000))
    assert threshold == pytest.approx(float(entropy.quantile(1 - 1 / 4.5)), rel=0.02)


def test_entropies_that_are_all_alike_are_refused() -> None:
    with pytest.raises(DataError, match=r"no threshold gives patches of 4\.5 bytes"):
        fit_threshold(torch.ones(2, 100), PatchConfig())
    with pytest.raises(ValidationError, match=r"target=4\.5: expected 5 \(min_patch\)"):
        PatchConfig(min_patch=5)


def test_numbers_and_sizes_of_patches() -> None:
    starts = torch.tensor([[True, False, True, False, False], [True, True, False, False, True]])
    assert patch_numbers(starts).tolist() == [[0, 0, 1, 1, 1], [0, 1, 1, 1, 2]]
    assert patch_sizes(starts).tolist() == [2, 3, 1, 3, 1]
    assert mean_patch(starts) == 2.0


def test_the_controller_reaches_the_target_and_stays_in_bounds() -> None:
    threshold, config = 0.5, PatchConfig(max_patch=1000)
    for batch in range(300):
        threshold = controlled(threshold, patch_starts(noise(4, 200, seed=batch), threshold, config), 4.5, 0.2)
    assert mean_patch(patch_starts(noise(seed=999), threshold, config)) == pytest.approx(4.5, rel=0.1)
    everywhere, nowhere = torch.ones(1, 10, dtype=torch.bool), torch.zeros(1, 10, dtype=torch.bool)
    assert controlled(5.0, everywhere, 4.5, 10.0) == pytest.approx(math.log(256))
    assert controlled(0.1, nowhere, 4.5, 10.0) == 0
