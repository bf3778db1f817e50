"""Walks in a maze, whose end is hard to foresee without picturing every step.

walks = draw_walks(seed=1, part="test", steps=4, count=300)
images = render(walks.boards[:, 0])                        the maze with its agent before the first action

A board has 7 × 7 cells: floor, wall, hole, goal, and one agent. An action moves the agent by one cell unless a wall or
the edge stands there; in a hole and at the goal the walk is over and further actions move nothing. The answer is the
outcome: G goal, H hole, S still safe. Rules and cells are those of FrozenLake (gymnasium) without slipping, and with
walls. The part of a walk follows from the hash of its maze and actions, so that no two parts share one, whatever seeds
drew them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.errors import DataError
from pipeline.sleepwake.arithmetic import Part, part_of

Grid = npt.NDArray[np.int64]
SIDE = 7
FLOOR, WALL, HOLE, GOAL, AGENT, AGENT_IN_HOLE, AGENT_AT_GOAL = range(7)
ACTIONS = {"L": (0, -1), "D": (1, 0), "R": (0, 1), "U": (-1, 0)}
OUTCOMES = "GHS"
_WALLS, _HOLES = 0.22, 0.16  # shares of cells
_TRIES = 400
_GLYPHS = ("0000000000000000", "9999999999999999", "5555500550055555", "3000030000300003", "0000099009900000",
           "5555599559955555", "3000099009900003")  # fmt: skip
"""Grey values of a cell's 4 × 4 pixels, row by row, in ninths."""


@dataclass(frozen=True)
class Walks:
    """Walks of one length n.

    Attributes:
        actions: Letters of every walk, n each.
        boards: Cells before the first and after every action, int64 (N, n + 1, 7, 7).
        answers: One letter a walk.
    """

    actions: list[str]
    boards: Grid
    answers: list[str]

    def __len__(self) -> int:
        return len(self.actions)


def walk(maze: Grid, start: tuple[int, int], actions: str) -> tuple[Grid, str]:
    """Boards (n + 1, 7, 7) and the outcome of actions in a maze (7, 7) without agent, from a floor cell."""
    (row, column), boards = start, [_with_agent(maze, start)]
    for action in actions:
        down, right = ACTIONS[action]
        to = (row + down, column + right)
        over = maze[row, column] in (HOLE, GOAL)
        if not over and min(to) >= 0 and max(to) < SIDE and maze[to] != WALL:
            row, column = to
        boards.append(_with_agent(maze, (row, column)))
    return np.stack(boards), {GOAL: "G", HOLE: "H"}.get(int(maze[row, column]), "S")


def draw_walks(seed: int, part: Part, steps: int, count: int) -> Walks:
    """Different walks of one part, outcomes as often as each other but for rounding.

    The goal stands within reach of the start whatever the outcome, so that its distance tells little.

    Raises:
        DataError: Too few were found.
    """
    generator = np.random.default_rng([seed, steps, *part.encode()])
    found: dict[bytes, tuple[str, Grid, str]] = {}
    for _ in range(_TRIES * count):
        if len(found) == count:
            break
        wanted = OUTCOMES[len(found) % len(OUTCOMES)]
        actions = "".join(generator.choice(list(ACTIONS), size=steps))
        maze, start = _maze(generator, actions, wanted == "G")
        boards, outcome = walk(maze, start, actions)
        key = boards[0].tobytes() + actions.encode()
        if outcome == wanted and key not in found and part_of(key.hex()) == part:
            found[key] = (actions, boards, outcome)
    if len(found) < count:
        raise DataError(f"{part} walks of {steps} steps: expected {count}, found {len(found)}; ask fewer")
    drawn = [list(found.values())[place] for place in generator.permutation(count)]
    return Walks([one[0] for one in drawn], np.stack([one[1] for one in drawn]), [one[2] for one in drawn])


def _maze(generator: np.random.Generator, actions: str, reached: bool) -> tuple[Grid, tuple[int, int]]:
    """A maze (7, 7) and a start; its goal stands on the walk if it should be reached, else near the start."""
    maze = generator.choice([FLOOR, WALL, HOLE], p=[1 - _WALLS - _HOLES, _WALLS, _HOLES], size=(SIDE, SIDE))
    row, column = (int(place) for place in generator.integers(SIDE, size=2))
    maze[row, column] = FLOOR
    agents = walk(maze, (row, column), actions)[0] >= AGENT
    visited = agents.any(0)
    apart = np.abs(np.arange(SIDE)[:, None] - row) + np.abs(np.arange(SIDE) - column)
    near = (apart <= len(actions)) & (apart > 0)
    places = np.argwhere(near & (visited if reached else ~visited))
    if len(places):
        maze[tuple(places[generator.integers(len(places))])] = GOAL
    return maze, (row, column)


def _with_agent(maze: Grid, place: tuple[int, int]) -> Grid:
    board = maze.copy()
    board[place] = {HOLE: AGENT_IN_HOLE, GOAL: AGENT_AT_GOAL}.get(int(maze[place]), AGENT)
    return board


def glyphs() -> Tensor:
    """Grey values 0..1 of the kinds of cells, (7, 4, 4)."""
    return torch.tensor([[int(pixel) / 9 for pixel in glyph] for glyph in _GLYPHS]).view(-1, 4, 4)


def render(boards: Grid) -> Tensor:
    """Images (N, 28, 28) in 0..1 of boards (N, 7, 7)."""
    cells = glyphs()[torch.from_numpy(boards)]  # (N, 7, 7, 4, 4)
    return cells.permute(0, 1, 3, 2, 4).reshape(len(boards), 28, 28)


def read_boards(images: Tensor) -> Grid:
    """Boards (N, 7, 7) of images (N, 28, 28): in every cell the kind whose pixels are nearest."""
    cells = images.cpu().view(-1, SIDE, 4, SIDE, 4).permute(0, 1, 3, 2, 4).reshape(-1, 16)
    found: Grid = torch.cdist(cells, glyphs().view(-1, 16)).argmin(1).view(-1, SIDE, SIDE).numpy()
    return found
