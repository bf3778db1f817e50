"""Whether answers that were taught stand out from answers that were not, by how likely the adapted model finds them.

Greedy answers say what the model says; this says how sure it is. The area under the ROC curve is the chance that a
taught answer, after its question, is likelier than the answer that an untaught twin would have after its own
(membership inference, Yeom et al. 2018, arXiv:1709.01604).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.arms import Ask
from pipeline.suites.types import Question

TAUGHT, UNTAUGHT = "post_off_heldout", "untaught"


def compared(asks: Iterable[Ask]) -> tuple[list[Question], list[Question]]:
    """One closed-book test question of every taught fact, and one of every untaught one, the first that is asked."""
    found: dict[str, dict[str, Question]] = {TAUGHT: {}, UNTAUGHT: {}}
    for ask in asks:
        if ask.arm in found and ask.question.answer:
            found[ask.arm].setdefault(ask.question.item_id, ask.question)
    return list(found[TAUGHT].values()), list(found[UNTAUGHT].values())


def wins(own: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, m) 1 where a value of ``own`` (n,) is above one of ``others``, a half where they are equal, else 0.

    Their mean is the area under the ROC curve (Mann and Whitney 1947). ``others`` is (m,) for all alike, or (n, m).
    """
    difference = own[:, None] - others
    found: NDArray[np.float64] = (difference > 0) + 0.5 * (difference == 0)
    return found


def recognition_figures(
    log_probs: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]], resamples: int = 2000, seed: int = 1337
) -> dict[str, Any] | None:
    """``{auroc, ci95, prior, n, untaught_n}``, or None where either side has no question.

    Args:
        log_probs: For ``pre`` (the base) and ``post`` the mean log-probability per token, nats, of the taught answers
            (n,) and of the untaught ones (m,).
        resamples: Bootstrap samples of the interval, facts drawn on both sides.
        seed: Of the bootstrap.
    """
    won = {name: wins(*sides) for name, sides in log_probs.items()}
    n, m = won["post"].shape
    if not n or not m:
        return None
    generator = np.random.default_rng(seed)
    drawn = [
        won["post"][generator.integers(n, size=n)][:, generator.integers(m, size=m)].mean() for _ in range(resamples)
    ]
    return {
        "auroc": float(won["post"].mean()),
        "ci95": [float(edge) for edge in np.quantile(drawn, [0.025, 0.975])],
        "prior": float(won["pre"].mean()),
        "n": n,
        "untaught_n": m,
    }
