"""Rules of the maze, parts that share no walk, outcomes as often as each other, pictures that can be read back."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.sleepwake.maze import (
    AGENT,
    AGENT_AT_GOAL,
    AGENT_IN_HOLE,
    FLOOR,
    GOAL,
    HOLE,
    WALL,
    Grid,
    draw_walks,
    read_boards,
    render,
    walk,
)


def maze(**cells: tuple[int, int]) -> Grid:
    grid = np.full((7, 7), FLOOR)
    for kind, place in cells.items():
        grid[place] = {"wall": WALL, "hole": HOLE, "goal": GOAL}[kind]
    return grid


@pytest.mark.parametrize(
    ("start", "actions", "end", "kind", "outcome"),
    [
        ((3, 3), "LURD", (3, 3), AGENT, "S"),
        ((0, 0), "LU", (0, 0), AGENT, "S"),  # the edge
        ((3, 0), "R", (3, 0), AGENT, "S"),  # the wall
        ((4, 1), "RU", (4, 2), AGENT_IN_HOLE, "H"),  # nothing leads out of a hole
        ((4, 4), "RL", (4, 5), AGENT_AT_GOAL, "G"),  # nor away from the goal
    ],
)
def test_a_walk_follows_the_rules(
    start: tuple[int, int], actions: str, end: tuple[int, int], kind: int, outcome: str
) -> None:
    boards, found = walk(maze(wall=(3, 1), hole=(4, 2), goal=(4, 5)), start, actions)
    assert found == outcome
    assert len(boards) == len(actions) + 1
    assert [tuple(place) for place in np.argwhere(boards[-1] >= AGENT)] == [end]
    assert boards[-1][end] == kind


def test_an_agent_leaves_the_floor_as_it_was() -> None:
    grid = maze(wall=(3, 1))
    boards, _ = walk(grid, (0, 0), "RR")
    boards[boards == AGENT] = FLOOR
    assert all(np.array_equal(board, grid) for board in boards)


def test_parts_share_no_walk_and_draws_follow_the_seed() -> None:
    def keys(seed: int, part: str) -> set[tuple[str, bytes]]:
        drawn = draw_walks(seed, part, 1, 200)  # type: ignore[arg-type]
        return {(actions, board[0].tobytes()) for actions, board in zip(drawn.actions, drawn.boards, strict=True)}

    parts = [keys(seed, part) for seed, part in enumerate(("train", "validation", "test"))]
    assert all(len(part) == 200 for part in parts)
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert keys(5, "test") == keys(5, "test") != keys(6, "test")


def test_outcomes_are_as_often_as_each_other_and_true() -> None:
    drawn = draw_walks(0, "train", 4, 99)
    assert Counter(drawn.answers) == {"G": 33, "H": 33, "S": 33}
    ends = {"G": AGENT_AT_GOAL, "H": AGENT_IN_HOLE, "S": AGENT}
    assert all(board[-1].max() == ends[answer] for board, answer in zip(drawn.boards, drawn.answers, strict=True))


def test_the_goal_is_near_whatever_the_outcome() -> None:
    drawn = draw_walks(1, "train", 3, 90)
    for board, answer in zip(drawn.boards[:, 0], drawn.answers, strict=True):
        if answer == "S" and (board == GOAL).any():
            assert np.abs(np.argwhere(board == GOAL)[0] - np.argwhere(board == AGENT)[0]).sum() <= 3


def test_pictures_can_be_read_back() -> None:
    boards = draw_walks(2, "train", 2, 30).boards.reshape(-1, 7, 7)
    images = render(boards)
    assert images.shape == (90, 28, 28) and float(images.min()) == 0 and float(images.max()) == 1
    assert np.array_equal(read_boards(images), boards)


def test_more_than_can_be_found_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.sleepwake.maze._TRIES", 1)
    with pytest.raises(DataError, match="test walks of 4 steps: expected 50, found"):
        draw_walks(0, "test", 4, 50)
