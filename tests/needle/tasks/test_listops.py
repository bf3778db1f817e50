"""ListOps: every expression is parsed from its tokens and evaluated again, by recursion."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from pipeline.config import NeedleConfig, load_config
from pipeline.config.needle_task import DataConfig, ListOpsConfig
from pipeline.errors import DataError
from pipeline.needle.tasks.counters import streams
from pipeline.needle.tasks.registry import task_of
from pipeline.needle.tasks.task import SPLITS, Task
from pipeline.needle.tasks.trees import grown, measured

OPERATORS = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda arguments: int(statistics.median(arguments)),
    "[SUM_MOD": lambda arguments: sum(arguments) % 10,
}


def task(min_length: int, max_length: int, max_depth: int, max_args: int = 10) -> Task:
    ranges = ListOpsConfig(min_length=min_length, max_length=max_length, max_depth=max_depth, max_args=max_args)
    return task_of(DataConfig(task="listops", length=max_length + 1, listops=ranges))


def evaluated(tokens: list[int], ids: dict[str, int], at: int = 0) -> tuple[int, int, int, int]:
    """Value, place behind it, depth, and most arguments of the expression that begins at a place."""
    names = {token: name for name, token in ids.items() if name in OPERATORS}
    if tokens[at] not in names:
        assert 0 <= tokens[at] - ids["digits"] < 10
        return tokens[at] - ids["digits"], at + 1, 1, 0
    operator, at, arguments, depth, most = OPERATORS[names[tokens[at]]], at + 1, [], 0, 0
    while tokens[at] != ids["]"]:
        value, at, deep, many = evaluated(tokens, ids, at)
        arguments.append(value)
        depth, most = max(depth, deep), max(most, many)
    assert len(arguments) >= 2
    return operator(arguments), at + 1, depth + 1, max(most, len(arguments))


@pytest.mark.parametrize(
    ("ranges", "count"),
    [((4, 128, 5, 10), 300), ((20, 60, 3, 6), 100), ((4, 30, 10, 2), 200), ((500, 2000, 10, 10), 4)],
)
def test_the_answer_is_what_the_expression_comes_to(ranges: tuple[int, int, int, int], count: int) -> None:
    made_by = task(*ranges)
    made = made_by.examples(0, "train", np.arange(count))
    depths, arguments, operators = set(), set(), set()
    for row in range(count):
        tokens, used = made.tokens[row].tolist(), int(made.tokens_used[row])
        value, end, depth, most = evaluated(tokens, dict(made_by.ids))
        assert (value, end) == (made.target[row, 0], used - 1)
        assert tokens[end] == made_by.ids["ask"] and made.query_pos[row, 0] == end
        assert set(tokens[used:]) <= {made_by.ids["pad"]}
        assert ranges[0] <= end <= ranges[1]
        depths.add(depth)
        arguments.add(most)
        operators.add(tokens[0])
    assert 2 <= min(depths) <= max(depths) <= ranges[2] and max(arguments) <= ranges[3]
    assert len(operators) == 4 or count < 10
    assert (made.query_pair == -1).all() and made.pair_pos.shape == (count, 0)


def test_splits_share_no_expression_however_short() -> None:
    rows = {
        split: {
            row.tobytes() for seed in (0, 1) for row in task(4, 7, 2, 3).examples(seed, split, np.arange(3000)).tokens
        }
        for split in SPLITS
    }
    assert min(map(len, rows.values())) > 300
    assert not (rows["train"] & rows["val"] or rows["train"] & rows["test"] or rows["val"] & rows["test"])


def test_a_node_below_the_root_is_an_operator_a_quarter_of_the_time() -> None:
    first, second, _ = grown(streams(0, 0, np.arange(5000)), 3, 10, 10_000)
    eldest = second.digit[np.searchsorted(second.parent, np.arange(5000))]
    assert abs((eldest == first.digit).mean() - 0.1) < 5 * np.sqrt(0.09 / 5000)  # each node draws anew
    share = (second.operator >= 0).mean()
    assert abs(share - 0.25) < 5 * np.sqrt(0.25 * 0.75 / len(second.operator))
    arguments = np.bincount(second.tree)
    assert set(arguments.tolist()) == set(range(2, 11))
    assert abs(arguments.mean() - 6) < 5 * np.sqrt(60 / 9 / 5000)


def test_a_long_range_set_over_a_short_one_has_the_arena_s_trees() -> None:
    settings = ("data.length=2001", "data.listops={min_length: 500, max_length: 2000}")
    config = load_config("needle/listops", settings)
    assert isinstance(config, NeedleConfig) and config.data.listops.depth == 10
    made_by, count = task_of(config.data), 600
    made = made_by.examples(5, "train", np.arange(count))
    lengths = made.tokens_used - 1
    assert 500 <= lengths.min() < 550 and 1900 < lengths.max() <= 2000 and 850 < np.median(lengths) < 1100
    told = [evaluated(row, dict(made_by.ids)) for row in made.tokens[:40].tolist()]
    assert [value for value, _, _, _ in told] == made.target[:40, 0].tolist()
    assert np.mean([depth for _, _, depth, _ in told]) > 8  # no flat lists
    operators = made.tokens >= made_by.ids["[MIN"]
    operators &= made.tokens < made_by.ids["digits"]
    closing = (made.tokens == made_by.ids["]"]).sum()
    assert operators.sum() == closing and 0.12 < operators.sum() / lengths.sum() < 0.2  # 1/6 of an endless tree
    shares = np.bincount(made.target[:, 0], minlength=10) / count
    assert shares.max() < 0.22 and shares.min() > 0.04
    roots = np.bincount(made.tokens[:, 0] - made_by.ids["[MIN"], minlength=4) / count
    assert abs(roots - 0.25).max() < 0.09


@pytest.mark.parametrize(("depth", "max_args"), [(2, 10), (4, 10), (6, 5)])
def test_the_mean_tree_is_as_large_as_configuration_says(depth: int, max_args: int) -> None:
    expected = ListOpsConfig(min_length=4, max_args=max_args).mean_tokens(depth)
    sizes = measured(grown(streams(1, 0, np.arange(20_000)), depth, max_args, 10**9))[0][0]
    assert sizes.mean() == pytest.approx(expected, abs=5 * sizes.std() / 20_000**0.5)


@pytest.mark.parametrize(("least", "depth"), [(4, 4), (34, 4), (35, 5), (500, 10), (2000, 14)])
def test_depth_grows_with_the_shortest_expression(least: int, depth: int) -> None:
    assert ListOpsConfig(min_length=least, max_length=4000).depth == depth
    assert ListOpsConfig(min_length=least, max_length=4000, max_depth=12).depth == 12


def test_a_range_that_no_tree_reaches_is_an_error_that_says_so() -> None:
    with pytest.raises(DataError, match=r"found no tree of listops.min_length=760 "):
        task(760, 766, 9, 2).examples(0, "train", np.arange(1))
