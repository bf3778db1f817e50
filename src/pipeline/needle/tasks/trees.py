"""Trees of operators and digits, many at once: grown level by level, measured from the leaves, written from the root.

One array holds all nodes of a depth, so that the work is a few dozen array operations a level whatever the batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.needle.tasks.counters import Integers, Words, below, words

OPERATORS = ("MIN", "MAX", "MED", "SUM_MOD")
CLOSE, FIRST_OPERATOR = 2, 3  # token ids; an operator's token has the opening bracket in it, as ``[MIN``
FIRST_DIGIT = FIRST_OPERATOR + len(OPERATORS)


class Level(NamedTuple):
    """All nodes at one depth, ordered by tree and then from left to right.

    Attributes:
        tree: Number of each node's tree (N,).
        parent: Its place in the level above (N,).
        operator: Which of `OPERATORS` it is, -1 for a digit (N,).
        digit: Which digit it is, if it is one (N,).
    """

    tree: Integers
    parent: Integers
    operator: Integers
    digit: Integers


def grown(own: Words, max_depth: int, max_args: int, max_length: int) -> list[Level]:
    """Trees whose root is an operator; other nodes are one with probability 1/4, and have 2 to ``max_args`` arguments.

    Args:
        own: One stream a tree (B,); what a node is depends on the stream and the node's number, breadth first.
        max_depth: Levels at most.
        max_args: Arguments of an operator at most.
        max_length: Tokens at most: larger trees are left out.

    Returns:
        Levels from the root on; trees keep the numbers of their streams, and stand in that order.
    """
    tree, parent = np.arange(len(own)), np.arange(len(own))
    nodes, tokens = np.zeros(len(own), np.int64), np.zeros(len(own), np.int64)  # of each tree so far
    fits = np.ones(len(own), bool)
    levels: list[Level] = []
    for depth in range(1, max_depth + 1):
        counts = np.bincount(tree, minlength=len(own))
        within = np.arange(len(tree)) - (np.cumsum(counts) - counts)[tree]  # place of a node in its tree's level
        drawn = words(own[tree], nodes[tree] + within)
        branches = ((drawn & np.uint64(3)) == 0) | (depth == 1)
        branches &= depth < max_depth
        operator = np.where(branches, ((drawn >> np.uint64(2)) & np.uint64(3)).astype(np.int64), -1)
        levels.append(Level(tree, parent, operator, below(drawn, 10)))
        arguments = np.where(branches, 2 + below(drawn, max_args - 1), 0)
        nodes += counts
        tokens += np.bincount(tree, weights=1 + branches, minlength=len(own)).astype(np.int64)
        fits &= tokens + np.bincount(tree, weights=arguments, minlength=len(own)) <= max_length
        parent = np.repeat(np.arange(len(tree)), np.where(fits[tree], arguments, 0))
        tree = tree[parent]
        if not len(tree):
            break
    return _kept(levels, fits)


def _kept(levels: list[Level], fits: NDArray[np.bool_]) -> list[Level]:
    """The levels without the nodes of some trees."""
    left, places = [], np.arange(len(fits))
    for level in levels:
        keep = fits[level.tree]
        left.append(Level(level.tree[keep], places[level.parent[keep]], level.operator[keep], level.digit[keep]))
        places = np.cumsum(keep) - 1
    return left


def measured(levels: list[Level]) -> tuple[list[Integers], list[Integers]]:
    """Tokens of every node's expression, and what it comes to: lists by level, arrays by node."""
    sizes, values = [], []
    below_size = below_value = np.zeros(0, np.int64)
    below_parent = np.zeros(0, np.int64)
    for level in reversed(levels):
        size, value = np.ones(len(level.tree), np.int64), level.digit.copy()
        branches = np.flatnonzero(level.operator >= 0)
        if len(branches):
            starts = np.searchsorted(below_parent, branches)
            size[branches] = 2 + np.add.reduceat(below_size, starts)
            value[branches] = _results(level.operator[branches], below_value, below_parent, starts)
        below_size, below_value, below_parent = size, value, level.parent
        sizes.append(size)
        values.append(value)
    return sizes[::-1], values[::-1]


def _results(operator: Integers, arguments: Integers, owner: Integers, starts: Integers) -> Integers:
    """Results of operators (M,), whose arguments (N,) stand together from ``starts`` (M,) on, by their owner (N,)."""
    ordered = np.sort(10 * owner + arguments) % 10
    counts = np.diff(np.append(starts, len(arguments)))
    median = (ordered[starts + (counts - 1) // 2] + ordered[starts + counts // 2]) // 2  # of an even number: the floor
    least, most = ordered[starts], ordered[starts + counts - 1]
    total: Integers = np.add.reduceat(arguments, starts) % 10
    return np.choose(operator, (least, most, median, total))


def written(levels: list[Level], sizes: list[Integers], roots: Integers, length: int) -> NDArray[np.uint16]:
    """Expressions as tokens.

    Args:
        levels: The trees.
        sizes: Of their nodes, from `measured`.
        roots: Places in the first level of those that are written (K,).
        length: Tokens of a row, padded with 0; every written tree fits.

    Returns:
        Shape (K, length).
    """
    row = np.full(int(levels[0].tree.max(initial=-1)) + 1, -1)
    row[levels[0].tree[roots]] = np.arange(len(roots))
    tokens = np.zeros((len(roots), length), np.uint16)
    places = np.zeros(len(levels[0].tree), np.int64)
    for depth, (level, size) in enumerate(zip(levels, sizes, strict=True)):
        if depth:
            before = np.cumsum(size) - size
            children = np.bincount(level.parent, minlength=len(places))
            first = (np.cumsum(children) - children)[level.parent]  # a node's eldest sibling
            places = places[level.parent] + 1 + before - before[first]
        rows, branches = row[level.tree], level.operator >= 0
        token = np.where(branches, FIRST_OPERATOR + level.operator, FIRST_DIGIT + level.digit)
        shown = rows >= 0
        tokens[rows[shown], places[shown]] = token[shown]
        shown &= branches
        tokens[rows[shown], (places + size - 1)[shown]] = CLOSE
    return tokens
