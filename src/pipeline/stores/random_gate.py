"""The control of a write gate: as many experiences as it would keep, drawn at random.

What a gate is worth shows against this one: the store, the night and its cost are as large, and only what was chosen
differs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.stores.episode import Episodes
from pipeline.stores.gate import GateDecision

REASON = "random"


def at_random(judged: Episodes, decisions: Sequence[GateDecision]) -> tuple[Episodes, list[GateDecision]]:
    """Deal the verdicts out anew, each as likely to come to any experience; scores stay as they are.

    The draw follows from what was experienced, in its order, so that the same day is drawn the same again.

    Args:
        judged: Experiences with the gate's verdicts.
        decisions: The gate's, in the same order.

    Returns:
        Both with other verdicts, as many of each kind.
    """
    label = "\n".join(row.digest for row in judged.rows).encode()
    seed = int.from_bytes(hashlib.sha256(label).digest()[:8], "big")
    order = np.random.default_rng(seed).permutation(len(decisions))
    dealt = [replace(d, accepted=decisions[i].accepted, reason=REASON) for d, i in zip(decisions, order, strict=True)]
    rows = tuple(replace(row, accepted=d.accepted) for row, d in zip(judged.rows, dealt, strict=True))
    return replace(judged, rows=rows), dealt
