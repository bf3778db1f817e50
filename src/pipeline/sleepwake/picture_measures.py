"""Walks in a maze answered with pictures and without, with the token discrepancy and without, at equal compute.

figures = measure_pictures(config, seed=1, device="cpu", progress=progress)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipeline.config.sleepwake_parts import PicturesConfig
from pipeline.progress import Progress
from pipeline.sleepwake.byte_model import VOCABULARY
from pipeline.sleepwake.codebook import Codebook
from pipeline.sleepwake.codebook_measures import trained_codebook
from pipeline.sleepwake.discrepancy import code_distances
from pipeline.sleepwake.maze import AGENT, OUTCOMES, SIDE, Grid, Walks, draw_walks, read_boards, render
from pipeline.sleepwake.picture_model import CELLS, PictureModel
from pipeline.sleepwake.picture_training import (
    Tried,
    Walked,
    answer_logits,
    as_tokens,
    matched_steps,
    train_decision,
    train_pictures,
    try_both,
)
from pipeline.sleepwake.visual_decision import DecisionState


def measure_pictures(config: PicturesConfig, seed: int, device: str, progress: Progress) -> dict[str, float]:
    """Train a codebook of boards and three models on the same walks, and ask all of them the same test walks.

    Returns:
        ``cells``: share of test boards' cells that are read right from the codebook's pictures, the most that
        ``<arm>.agent`` can be.
        For ``discrepancy`` and ``pictures``, trained with pictures, with and without the discrepancy loss:
        ``<arm>.codes`` and ``<arm>.changed``, shares of right codes in the model's own roll-outs, over all and over
        those that differ from the board before; ``<arm>.agent``, of roll-outs whose last picture shows the agent in
        its cell; ``<arm>.answer``, of right answers behind them; ``<arm>.direct``, of right answers without pictures.
        ``without.direct``: of a model that spent the same compute on direct answers alone.
        ``decision.…`` of the first model: ``answer`` if it decides by itself, ``share`` of questions that are pictured,
        ``pictures`` a question, ``calls``, ``too_soon``, ``helped`` (share of test questions whose answer pictures
        improve) and ``right`` (share of decisions that agree with that).
        ``gain`` is discrepancy.answer − without.direct, ``discrepancy.gain`` discrepancy.answer − pictures.answer.
    """
    lengths = range(1, config.most_steps + 1)
    learned = [draw_walks(seed, "train", n, config.walks) for n in lengths]
    held_out = [draw_walks(seed, "test", n, config.tested) for n in lengths]
    last = np.concatenate([walks.boards[:, -1] for walks in learned])
    book, _ = trained_codebook(render(last), config.codebook, seed, device, progress)
    training, test = ([_tokens(walks, book, device) for walks in part] for part in (learned, held_out))
    boards = np.concatenate([walks.boards.reshape(-1, SIDE, SIDE) for walks in held_out])
    figures = {"cells": float((_shown(book, torch.cat([one.boards.flatten(0, 1) for one in test])) == boards).mean())}
    for arm, distances in (("discrepancy", code_distances(book.vectors)), ("pictures", None)):
        model = _trained(training, distances, config, seed, arm, progress)
        tried = [try_both(model, one) for one in test]
        figures |= {f"{arm}.{name}": value for name, value in _examined(tried, test, held_out, book).items()}
        if arm == "discrepancy":
            fresh = [draw_walks(seed + 1, "train", n, config.decision.questions) for n in lengths]
            labelled = [try_both(model, _tokens(walks, book, device)) for walks in fresh]
            figures["decision.loss"] = train_decision(model, labelled, seed)
            figures |= {f"decision.{name}": value for name, value in decided(model, tried).items()}
    without = _trained(training, None, config, seed, "without", progress)
    figures["without.direct"] = _mean([_right(try_direct(without, one), one) for one in test])
    figures["gain"] = figures["discrepancy.answer"] - figures["without.direct"]
    figures["discrepancy.gain"] = figures["discrepancy.answer"] - figures["pictures.answer"]
    return figures


def decided(model: PictureModel, tried: list[Tried]) -> dict[str, float]:
    """Figures of the model's decisions over a stream of questions, in an order that mixes the lengths."""
    stream = [
        (float(probability), int(steps), *(bool(value) for value in row))
        for one in tried
        for probability, steps, *row in zip(
            model.decision(one.hidden, one.entropy, one.steps).tolist(),
            one.steps.tolist(),
            (one.direct.argmax(-1) == one.right).tolist(),
            (one.pictured.argmax(-1) == one.right).tolist(),
            _helped(model, one).tolist(),
            strict=True,
        )
    ]
    state, right, agreed = DecisionState(), 0, 0
    for place in torch.randperm(len(stream), generator=torch.Generator().manual_seed(0)).tolist():
        probability, steps, direct, pictured, helped = stream[place]
        state, chosen = model.decision.decide(probability, 1 + steps + CELLS, steps, state)
        right += pictured if chosen else direct
        agreed += chosen == helped
    count = len(stream)
    return {
        "answer": right / count,
        "share": state.pictured / count,
        "pictures": state.pictures / count,
        "calls": float(state.calls),
        "too_soon": float(state.too_soon),
        "helped": sum(helped for *_, helped in stream) / count,
        "right": agreed / count,
    }


@torch.no_grad()
def try_direct(model: PictureModel, walked: Walked) -> Tensor:
    """Log-shares (N, 3) of the outcomes without pictures."""
    return answer_logits(model, walked.actions, walked.boards[:, :1])


def _helped(model: PictureModel, tried: Tried) -> Tensor:
    without, pictured = tried.losses()
    return pictured < without - model.decision.config.margin


def _examined(tried: list[Tried], test: list[Walked], walks: list[Walks], book: Codebook) -> dict[str, float]:
    right = [(one.drawn[:, 1:] == true.boards[:, 1:]).flatten() for one, true in zip(tried, test, strict=True)]
    differs = [(one.boards[:, 1:] != one.boards[:, :-1]).flatten() for one in test]
    agents = [
        (_places(_shown(book, one.drawn[:, -1])) == _places(true.boards[:, -1])).tolist()
        for one, true in zip(tried, walks, strict=True)
    ]
    return {
        "codes": float(torch.cat(right).double().mean()),
        "changed": float(torch.cat(right)[torch.cat(differs)].double().mean()),
        "agent": _mean(agents),
        "answer": _mean([_right(one.pictured, true) for one, true in zip(tried, test, strict=True)]),
        "direct": _mean([_right(one.direct, true) for one, true in zip(tried, test, strict=True)]),
    }


def _shown(book: Codebook, tokens: Tensor) -> Grid:
    """Boards (N, 7, 7) that are read from the pictures of token ids (N, 49)."""
    return read_boards(book.pictures(tokens.view(-1, SIDE, SIDE) - VOCABULARY))


def _places(boards: Grid) -> Grid:
    """Cell of the agent in boards (N, 7, 7), the first if there are several, −1 if there is none: (N,)."""
    agents = (boards >= AGENT).reshape(len(boards), -1)
    found: Grid = np.where(agents.any(1), agents.argmax(1), -1)
    return found


def _right(shares: Tensor, walked: Walked) -> list[bool]:
    letters = torch.tensor([ord(letter) for letter in OUTCOMES], device=shares.device)
    found: list[bool] = (letters[shares.argmax(-1)] == walked.answers).tolist()
    return found


def _mean(parts: list[list[bool]]) -> float:
    values = [value for part in parts for value in part]
    return sum(values) / len(values)


def _tokens(walks: Walks, book: Codebook, device: str) -> Walked:
    boards = walks.boards
    codes = book.codes(render(boards.reshape(-1, SIDE, SIDE)).to(device))
    return as_tokens(walks.actions, codes.view(*boards.shape), walks.answers)


def _trained(
    training: list[Walked], distances: Tensor | None, config: PicturesConfig, seed: int, arm: str, progress: Progress
) -> PictureModel:
    with_pictures = arm != "without"
    progress.phase(f"walks, {arm}", config.steps if with_pictures else matched_steps(config))

    def told(step: int, loss: float) -> None:
        progress.advance()
        progress.note(f"loss {loss:.3f}")

    return train_pictures(training, distances, config, seed, with_pictures, told)
