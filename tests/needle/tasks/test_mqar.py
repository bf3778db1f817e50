"""Multi-query associative recall: halves of the vocabulary, questions behind all pairs, power-law gaps."""

from __future__ import annotations

import numpy as np

from pipeline.config.needle_task import DataConfig, MqarConfig
from pipeline.needle.tasks.registry import task_of

CONFIG = DataConfig(task="mqar", length=64, n_pairs=8, mqar=MqarConfig(vocab_size=128))


def test_every_key_is_asked_once_behind_all_pairs() -> None:
    made = task_of(CONFIG).examples(0, "train", np.arange(50))
    for row in range(50):
        tokens = made.tokens[row].tolist()
        told = dict(zip(tokens[0:16:2], tokens[1:16:2], strict=True))
        assert len(told) == len(set(told.values())) == 8
        assert all(1 <= key < 64 <= value < 128 for key, value in told.items())
        asked = {tokens[pos]: answer + 64 for pos, answer in zip(made.query_pos[row], made.target[row], strict=True)}
        assert asked == told
        assert all(pos >= 16 and pos % 2 == 0 for pos in made.query_pos[row])
        assert [tokens[pos] - 64 for pos in made.pair_pos[row]] == made.pair_val[row].tolist()
        assert [tokens[pos - 1] - 1 for pos in made.pair_pos[row]] == made.pair_key[row].tolist()
        assert made.query_pair[row].tolist() == list(range(8))


def test_gaps_follow_the_power_law() -> None:
    config = CONFIG.at(n_pairs=1, length=16, mqar={"vocab_size": 128, "power_a": 0.2})
    made = task_of(config).examples(1, "train", np.arange(20_000))
    counts = np.bincount((made.query_pos[:, 0] - 2) // 2, minlength=7)
    weights = np.arange(1, 8) ** -0.8
    expected = 20_000 * weights / weights.sum()
    assert (abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_tokens_between_questions_are_random_or_none() -> None:
    filled = task_of(CONFIG).examples(0, "train", np.arange(20))
    plain = task_of(CONFIG.at(mqar={"vocab_size": 128, "random_non_queries": False})).examples(
        0, "train", np.arange(20)
    )
    assert np.array_equal(plain.query_pos, filled.query_pos) and np.array_equal(plain.target, filled.target)
    assert ((plain.tokens > 0).sum(1) == 24).all() and len(np.unique(filled.tokens)) > 100
