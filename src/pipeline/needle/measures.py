"""Figures of an evaluation, under the names of telemetry and report; and its rows for the table of samples."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.needle.evaluation import Evaluation


def right(evaluation: Evaluation) -> Tensor:
    """Whether each question was answered rightly, (questions,)."""
    return evaluation.questions["pred"] == evaluation.questions["target"]


def measures(evaluation: Evaluation) -> dict[str, float]:
    """All figures of one evaluation; means over questions, needles or sequences.

    NaN where a task has none of them; precision and recall of no writes are 0.
    """
    asked, sequences, solver = evaluation.questions, evaluation.sequences, evaluation.solver
    correct = right(evaluation).float()
    found = {
        "acc": _mean(correct),
        "loss": _mean(asked["loss"]),
        **_spread("write_cos", evaluation.writes["cos"]),
        "read_cos.raw": _mean(asked["cos_raw"]),
        "read_cos.clean": _mean(asked["cos"]),
        "read_cos.cleanup": _mean(asked["cleanup"]),
        "read_cos.gap": _mean(asked["cleanup"] - asked["cos_raw"]),
        "read_cos.raw_sqrt_n": _mean(asked["cos_raw"] * asked["pairs"].clamp_min(1).sqrt()),
        "collisions.mean": _mean(sequences["collisions"]),
        "collisions.max": _most(sequences["collisions"]),
        "writes_per_seq.mean": _mean(sequences["writes"]),
        "writes_per_seq.max": _most(sequences["writes"]),
        "gate.precision": _ratio(sequences["hits"], sequences["writes"]),
        "gate.recall": _ratio(sequences["hits"], sequences["needles"]),
        "gate.mass_needles": _mean(sequences["mass_needles"]),
        "gate.mass_noise": _mean(sequences["mass_noise"]),
        "buckets.used": float((evaluation.loads > 0).float().mean()),
        "buckets.load_variance": float(_shares(evaluation.loads).var(correction=0)),
        "buckets.write_entropy": _entropy(evaluation.loads),
        "buckets.read_entropy": _entropy(evaluation.reads),
        "deq.steps": _weighted(solver["steps"], solver["rows"]),
        "deq.residual": _most(solver["residual"]),
        "deq.converged": _weighted(solver["converged"], solver["rows"]),
        "addr_entropy": _weighted(solver["address_entropy"], solver["rows"]),
        "load_variance_soft": _weighted(solver["load_variance"], solver["rows"]),
    }
    for pairs in sorted(set(asked["pairs"].tolist())):
        found[f"acc.by_pairs.{pairs}"] = _mean(correct[asked["pairs"] == pairs])
    return found


def by_tokens(evaluation: Evaluation, tokens_used: Tensor) -> dict[int, float]:
    """Accuracy by quarters of sequences, the shortest first, each under the tokens of its longest one.

    Args:
        evaluation: Of sequences that differ in length.
        tokens_used: Tokens of each before padding, (examples,).
    """
    asked = tokens_used[evaluation.questions["example"]]
    edges = torch.quantile(tokens_used.float(), torch.tensor([0.25, 0.5, 0.75, 1.0]), interpolation="higher")
    correct, found, before = right(evaluation), dict[int, float](), -1
    for edge in sorted({int(edge) for edge in edges}):
        found[edge] = _mean(correct[(asked > before) & (asked <= edge)])
        before = edge
    return found


def samples(evaluation: Evaluation, split: str, epoch: int) -> Iterator[dict[str, str | int | float]]:
    """Rows of the table of samples: every question (event read), then every needle (event write)."""
    names = ("example", "time", "target", "pred", "cos", "bucket")
    for event, columns in (("read", evaluation.questions), ("write", evaluation.writes)):
        lists = {name: values.tolist() for name, values in columns.items()}
        for row in range(len(lists["example"])):
            sample: dict[str, str | int | float] = {"split": split, "epoch": epoch, "event": event}
            sample |= {"example_id" if name == "example" else name: lists[name][row] for name in names}
            for name in ("cos_raw", "cleanup", "entropy", "gate"):
                sample[name] = lists[name][row] if name in lists else math.nan
            yield sample


def _mean(values: Tensor) -> float:
    return float(values.float().mean()) if len(values) else math.nan


def _most(values: Tensor) -> float:
    return float(values.max()) if len(values) else math.nan


def _spread(name: str, values: Tensor) -> dict[str, float]:
    if not len(values):
        return {f"{name}.{part}": math.nan for part in ("mean", "min", "max", "std")}
    parts = {"mean": values.mean(), "min": values.min(), "max": values.max(), "std": values.std(correction=0)}
    return {f"{name}.{part}": float(value) for part, value in parts.items()}


def _ratio(part: Tensor, whole: Tensor) -> float:
    total = float(whole.sum())
    return float(part.sum()) / total if total else 0.0


def _weighted(values: Tensor, weights: Tensor) -> float:
    return float((values * weights).sum() / weights.sum())


def _shares(loads: Tensor) -> Tensor:
    return loads / loads.sum().clamp_min(1)


def _entropy(loads: Tensor) -> float:
    """Entropy of the buckets' shares, nats."""
    shares = _shares(loads)
    return abs(float((shares * shares.clamp_min(1e-12).log()).sum()))
