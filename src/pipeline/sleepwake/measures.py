"""What is asked of a model, and what the answers say: recall, gaps, interference, keys that were never told, sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad

from pipeline.config.sleepwake_flow import SleepWakeConfig
from pipeline.sleepwake.arithmetic import Operation, problems
from pipeline.sleepwake.byte_model import BEGIN
from pipeline.sleepwake.days import Days, filler
from pipeline.sleepwake.facts import DIGITS, GAPS, Fact
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.recall import Reply, recalled, replies
from pipeline.sleepwake.text import Bytes
from pipeline.sleepwake.titans import MemoryState

Row = dict[str, Any]
_STREAMS = 64  # read at once; a session may be long
NAMES: dict[Operation, str] = {"+": "addition", "-": "subtraction", "*": "multiplication", "/": "division"}


def asked_rows(model: SleepWakeModel, name: str, facts: Sequence[Fact], cycle: int) -> list[Row]:
    """Every fact asked of the weights alone.

    Args:
        model: Who is asked.
        name: What the rows call it.
        facts: Told or not.
        cycle: The last one whose day the model has behind it; the value that holds then is the answer.
    """
    found = replies(model, [fact.question.encode() for fact in facts], [DIGITS + 1] * len(facts))
    return [_row(name, fact, reply, cycle) for fact, reply in zip(facts, found, strict=True)]


def _row(name: str, fact: Fact, reply: Reply, cycle: int) -> Row:
    held = [value for value, told in zip(fact.values, fact.told, strict=True) if told <= cycle]
    text = reply.text.decode("latin-1")
    return {
        "model": name,
        "kind": fact.kind,
        "key": fact.key,
        "cycle": fact.told[0] if fact.told else -1,
        "question": fact.question,
        "answer": f"{held[-1]};" if held else "",
        "reply": text,
        "right": bool(held) and text == f"{held[-1]};",
        "intruded": text.removesuffix(";") in held[:-1],
        "confidence": reply.confidence,
    }


def share(rows: Sequence[Row], name: str = "right") -> float | None:
    """Mean of a column; None of no rows."""
    return float(np.mean([row[name] for row in rows])) if rows else None


def interval(rights: Sequence[float], resamples: int, seed: int) -> tuple[float, float]:
    """Bootstrapped 95 % interval of a mean over facts."""
    generator, values = np.random.default_rng(seed), np.asarray(rights, float)
    means = values[generator.integers(len(values), size=(resamples, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def unseen_figures(rows: Sequence[Row]) -> dict[str, float]:
    """Never told keys: how sure the model is, and how often it answers with the value of some other key."""
    unseen = [row for row in rows if row["kind"] == "unseen"]
    told = {row["answer"] for row in rows if row["answer"]}
    known = [row["confidence"] for row in rows if row["kind"] == "recall"]
    return {
        "confidence": float(np.mean([row["confidence"] for row in unseen])) if unseen else 0.0,
        "confidence_told": float(np.mean(known)) if known else 0.0,
        "answers_of_others": float(np.mean([row["reply"] in told for row in unseen])) if unseen else 0.0,
    }


@torch.no_grad()
def gap_rights(
    model: SleepWakeModel, streams: Sequence[bytes], facts: Sequence[Fact], text: Bytes, config: SleepWakeConfig
) -> dict[int, list[bool]]:
    """Which facts a model without a sleep still recalls through its memory, by sessions of text since they were told.

    The memory of every stream goes on through the sessions: nothing is lost but by its own forgetting.

    Args:
        model: Before any sleep.
        streams: Of the day that tells the facts.
        facts: Each told in one of them.
        text: What the sessions between hold.
        config: Length of a session.
    """
    device = model.embedding.weight.device
    by_stream = [[fact for fact in facts if fact.statements[-1].encode() in stream] for stream in streams]
    state = _carried(model, streams, None, device)
    found: dict[int, list[bool]] = {}
    for gap in range(1, max(GAPS) + 1):
        between = filler(config.seed, gap, len(streams), text, config.evaluation.gap_session)
        state = _carried(model, between, state, device)
        if gap in GAPS:
            found[gap] = _asked_with(model, by_stream, state)
    return found


def _carried(
    model: SleepWakeModel, sessions: Sequence[bytes], state: MemoryState | None, device: torch.device
) -> MemoryState:
    found = list[MemoryState]()
    for first in range(0, len(sessions), _STREAMS):
        part = slice(first, first + _STREAMS)
        tokens = pad(torch.tensor([list(session) for session in sessions[part]], device=device), (1, 0), value=BEGIN)
        held = None if state is None else MemoryState(state.weights[part], state.momentum[part])
        found.append(model.carried(tokens, held))
    return MemoryState(torch.cat([one.weights for one in found]), torch.cat([one.momentum for one in found]))


def _asked_with(model: SleepWakeModel, by_stream: Sequence[Sequence[Fact]], state: MemoryState) -> list[bool]:
    numbers = [number for number, facts in enumerate(by_stream) for _ in facts]
    facts = [fact for told in by_stream for fact in told]
    given = MemoryState(state.weights[numbers], state.momentum[numbers])
    found = replies(model, [fact.question.encode() for fact in facts], [DIGITS + 1] * len(facts), True, given)
    return [reply.text.decode("latin-1") == fact.answer for reply, fact in zip(found, facts, strict=True)]


def gap_facts(days: Days, streams: Sequence[bytes]) -> list[Fact]:
    """Facts that are told once, on the day of these streams, in the order in which `gap_rights` asks them."""
    once = [fact for fact in days.facts if len(fact.values) == 1]
    return [fact for stream in streams for fact in once if fact.statements[-1].encode() in stream]


def arithmetic_shares(model: SleepWakeModel, config: SleepWakeConfig) -> dict[str, dict[str, float]]:
    """Share of held-out problems whose whole answer is right, by level and operation."""
    found: dict[str, dict[str, float]] = {}
    for level in config.pretrain.arithmetic_levels if config.pretrain.arithmetic_rows else ():
        asked = problems(config.seed, level, "test", config.evaluation.arithmetic)
        rights = recalled(
            model,
            [problem.question.encode() for problem in asked],
            [f"{problem.answer};".encode() for problem in asked],
        )
        by_operation = {
            name: [right for right, problem in zip(rights, asked, strict=True) if problem.operation == operation]
            for operation, name in NAMES.items()
        }
        found[level] = {"all": float(np.mean(rights))} | {
            name: float(np.mean(values)) for name, values in by_operation.items() if values
        }
    return found


def present(figures: Mapping[str, float | None]) -> dict[str, float]:
    """Those that were measured."""
    return {name: value for name, value in figures.items() if value is not None}
