"""The write gate of relations: what is sure, new, in keeping with the known, and not yet outdated.

    S = confidence + novelty + degree + recency (weighted) + gamma * reward + delta * pin,   written when S > threshold

Novelty is 1 for a slot or a tail that is new, 0 for what the newest valid statement says already. Degree is schema fit:
d known edges at either end count d / (1 + d), because what joins a known network is kept more readily (Tse et al. 2007,
"Schemas and memory consolidation"). Recency is 0 for a statement that is older than one of its slot that is known.
Surprise under the language model plays no part.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pipeline.config.memory import GateConfig, RelationalGateConfig
from pipeline.evaluation.scoring import normalise
from pipeline.stores.episode import Episode, Episodes
from pipeline.stores.gate import GateDecision
from pipeline.stores.relations import Relation, Slot, newest_valid, relations_of


def judge_relations(
    candidates: Episodes, stored: Sequence[Relation], config: GateConfig, least_confidence: float
) -> tuple[Episodes, list[GateDecision]]:
    """Pass candidates through the gate, in their order.

    Args:
        candidates: Relations of one wake session.
        stored: What the store holds; an older version of a candidate does not make it less novel.
        config: Section ``gate``; its ``relational`` holds weights and threshold. With ``enforce`` off a refused
            relation is known to later ones all the same.
        least_confidence: From which a statement is valid.

    Returns:
        The candidates with novelty, score, verdict and salience filled in, and the decisions in the same order.

    Raises:
        StoreError: The details of a candidate are no relation.
    """
    relations = relations_of(candidates.rows)
    own = {row.episode_id for row in candidates.rows}
    known = _Known([relation for relation in stored if relation.episode_id not in own], least_confidence)
    rows, decisions = [], []
    for row, relation in zip(candidates.rows, relations, strict=True):
        decision = _decide(row, relation, known, config)
        if decision.accepted or not config.enforce:
            known.add(relation)
        decisions.append(decision)
        rows.append(_judged(row, decision, config))
    return replace(candidates, rows=tuple(rows)), decisions


class _Known:
    """What is known while a session is judged: statements by slot, and edges at every entity."""

    def __init__(self, relations: Sequence[Relation], least_confidence: float) -> None:
        self._least = least_confidence
        self._slots: dict[Slot, list[Relation]] = {}
        self._edges: Counter[str] = Counter()
        for relation in relations:
            self.add(relation)

    def add(self, relation: Relation) -> None:
        self._slots.setdefault(relation.slot, []).append(relation)
        self._edges.update(set(relation.nodes))

    def parts(self, relation: Relation) -> tuple[dict[str, float], str]:
        """Confidence, novelty, degree and recency in 0..1, and the id of the statement that it meets."""
        said = self._slots.get(relation.slot, [])
        current = newest_valid(said, self._least)
        same = [known for known in current if normalise(known.tail) == normalise(relation.tail)]
        outdated = any(known.time > relation.time for known in current) and not relation.many
        degree = sum(self._edges[node] for node in relation.nodes)
        parts = {
            "confidence": relation.confidence,
            "novelty": 0.0 if same else 1.0,
            "degree": degree / (1 + degree),
            "recency": 0.0 if outdated else 1.0,
        }
        return parts, (same or current or [relation])[-1].episode_id if current else ""


def _decide(row: Episode, relation: Relation, known: _Known, config: GateConfig) -> GateDecision:
    weights: RelationalGateConfig = config.relational
    parts, nearest = known.parts(relation)
    evidence = sum(float(getattr(weights, name)) * value for name, value in parts.items())
    reward, pin = float(row.reward), float(row.pin)
    score = evidence + config.gamma * reward + config.delta * pin
    return GateDecision(
        session=row.session,
        episode_id=row.episode_id,
        nats=0.0,
        surprise=0.0,
        novelty=parts["novelty"],
        reward=reward,
        pin=pin,
        score=score,
        accepted=score > weights.threshold,
        reason=_reason(parts, evidence, config.gamma * reward, score, weights.threshold),
        nearest=nearest,
        kind="relational",
        parts=json.dumps(parts, sort_keys=True),
    )


def _reason(parts: dict[str, float], evidence: float, reward: float, score: float, threshold: float) -> str:
    if score > threshold:
        return "novel" if evidence > threshold else "rewarded" if evidence + reward > threshold else "pinned"
    return "duplicate" if parts["novelty"] == 0 else "outdated" if parts["recency"] == 0 else "doubtful"


def _judged(row: Episode, decision: GateDecision, config: GateConfig) -> Episode:
    """The row with its verdict; salience is the share of the largest score that the weights allow."""
    weights = config.relational
    largest = weights.confidence + weights.novelty + weights.degree + weights.recency + config.gamma + config.delta
    return replace(
        row,
        novelty=decision.novelty,
        gate_score=decision.score,
        accepted=decision.accepted,
        salience=decision.score / largest if largest > 0 else 0.0,
    )
