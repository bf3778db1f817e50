"""``engram bench gate``: what the write gate keeps of a day of 1,000 messages, 100 of them worth keeping.

The others say again what was kept, word for word or in other words, tell what the base knows anyway, or are small talk
(`pipeline.suites.messages`). The gate enforces its verdicts, and the store is empty in the morning. Every term of the
score is left out in turn; without surprise or novelty the threshold falls by as much as the largest score of the two,
else nothing could pass.

engram bench gate
engram bench gate --set seed=7 --set gate.threshold=0.7

Whether a sleep over what the gate kept learns more than one over as many random messages takes nights: that is
``engram sweep gate``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline.bench.registry import Figure, Figures, register_benchmark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.config import GateConfig, StoreConfig
    from pipeline.config.benchmarks import GateBenchConfig
    from pipeline.stores import TextEncoder
    from pipeline.suites.messages import Message

PASSING = ("duplicate", "paraphrase", "known", "chat")  # kinds that should not pass


@register_benchmark("gate", "precision and recall of the write gate over a day of 1,000 messages, term by term")
def gate(settings: Sequence[str]) -> Figures:
    """Judge a day by the gate, and by the gate without each of its terms.

    Args:
        settings: Overrides of configs/benchmarks/gate.yaml.

    Raises:
        ConfigError: A setting is wrong.
        ModelError: The language model or the encoder is absent.
    """
    from pipeline.config import config_root, load_section
    from pipeline.config.benchmarks import GateBenchConfig
    from pipeline.stages.teach import model_surprise
    from pipeline.stores import SentenceEncoder
    from pipeline.suites.messages import day_of_messages

    config = load_section(GateBenchConfig, config_root() / "benchmarks" / "gate.yaml", settings)
    day = day_of_messages(config.messages, config.worth, config.seed)
    texts = sorted({message.fact.text for message in day})
    known = dict(zip(texts, model_surprise(config.model)(texts).tolist(), strict=True))
    nats = np.array([known[message.fact.text] for message in day])
    return compare(day, nats, SentenceEncoder(config.encoder), config)


def compare(
    day: Sequence[Message], nats: NDArray[np.float64], encoder: TextEncoder, config: GateBenchConfig
) -> Figures:
    """The table of the gate and its ablations, and the figures ``gate.precision`` and ``gate.recall``.

    Args:
        day: Messages in their order.
        nats: Surprise of each, shape (n,), nats per word.
        encoder: Of the store's keys.
        config: Gate and store.
    """
    vectors = encoder.encode([message.fact.text for message in day])
    rows: dict[str, dict[str, Figure]] = {}
    for name, changed in ablations(config.gate).items():
        accepted = verdicts(day, vectors, nats, changed, config.store)
        rows[name] = _row(day, accepted)
    return {
        "messages": len(day),
        "worth keeping": sum(message.worth for message in day),
        "gate.precision": rows["the gate"]["precision"],
        "gate.recall": rows["the gate"]["recall"],
        "what passes": rows,
    }


def ablations(config: GateConfig) -> dict[str, GateConfig]:
    """The gate, and the gate without each term of its score."""
    both = config.alpha + config.beta
    settings: dict[str, dict[str, float]] = {
        "the gate": {},
        "without surprise": {"alpha": 0.0, "threshold": config.threshold * config.beta / max(both, 1e-12)},
        "without novelty": {"beta": 0.0, "threshold": config.threshold * config.alpha / max(both, 1e-12)},
        "without reward": {"gamma": 0.0},
        "without pin": {"delta": 0.0},
    }
    return {name: config.model_copy(update={"enforce": True, **changes}) for name, changes in settings.items()}


def verdicts(
    day: Sequence[Message],
    vectors: NDArray[np.float32],
    nats: NDArray[np.float64],
    gate: GateConfig,
    store: StoreConfig,
) -> list[bool]:
    """Whether each message of the day passes, into a store that was empty in the morning."""
    from pipeline.stores import EncoderIdentity, EpisodicStore, episode_of, judge

    empty = EpisodicStore("day", store, EncoderIdentity("bench", "0" * 64, vectors.shape[1]))
    episodes = [episode_of(message.fact, source="bench", created=step) for step, message in enumerate(day)]
    _, decisions = judge(empty.candidates(episodes, vectors), nats, empty.episodes, gate)
    return [decision.accepted for decision in decisions]


def _row(day: Sequence[Message], accepted: Sequence[bool]) -> dict[str, Figure]:
    kept = [message for message, passed in zip(day, accepted, strict=True) if passed]
    worth = sum(message.worth for message in kept)
    row: dict[str, Figure] = {
        "precision": worth / len(kept) if kept else 0.0,
        "recall": worth / sum(message.worth for message in day),
        "kept": len(kept),
    }
    for kind, name in (("pinned", "pinned kept"), ("rewarded", "rewarded kept")):
        row[name] = f"{sum(m.kind == kind for m in kept)} of {sum(m.kind == kind for m in day)}"
    for kind in PASSING:
        row[kind] = sum(message.kind == kind for message in kept)
    return row
