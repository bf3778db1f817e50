"""What a suite with long answers is measured by beside EM: ROUGE-L, preferred answers, and facts of the world.

TOFU (Maini et al. 2024, arXiv:2401.06121) measures what was taught by ROUGE-L recall of the taught questions, and what
was understood by whether a paraphrase of the answer is likelier than wrong answers of the same make.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.evaluation.arms import ARMS, GENERAL_ARMS, WORLD_ARMS
from pipeline.evaluation.bootstrap import mean_interval
from pipeline.evaluation.metrics import arm_rows
from pipeline.evaluation.rouge import rouge_l_recall
from pipeline.evaluation.sanity import kept_figures, paired

PREFERENCES_SCHEMA = "preferences/1"
PREFERENCES = pa.schema(
    [
        ("item_id", pa.string()),
        ("right", pa.string()),
        ("wrong", pa.list_(pa.string())),
        ("right_pre", pa.float64()),  # mean log-probability per token, nats; before the night
        ("wrong_pre", pa.list_(pa.float64())),
        ("right_post", pa.float64()),
        ("wrong_post", pa.list_(pa.float64())),
    ]
)
TAUGHT_ARM = "post_off"


def rouge_by_arm(answers: pa.Table, resamples: int, seed: int) -> dict[str, dict[str, Any]]:
    """``{mean, ci95, n}`` of ROUGE-L recall of every arm about what was taught."""
    found = {}
    for arm in ARMS:
        rows = arm_rows(answers, arm)
        if arm not in GENERAL_ARMS and rows.num_rows:
            texts = zip(rows.column("answer").to_pylist(), rows.column("gold").to_pylist(), strict=True)
            scores: NDArray[np.float64] = np.array([rouge_l_recall(answer, gold) for answer, gold in texts])
            interval = mean_interval(scores, rows.column("item_id").to_pylist(), resamples, seed)
            found[arm] = {"mean": float(scores.mean()), "ci95": interval, "n": len(scores)}
    return found


def preferred(preferences: pa.Table, side: str) -> NDArray[np.float64]:
    """(n,) 1 where the right answer is likelier than every wrong one, else 0; a tie is not.

    Args:
        preferences: `PREFERENCES`, n rows.
        side: ``pre`` or ``post``.
    """
    rights, wrongs = preferences.column(f"right_{side}").to_pylist(), preferences.column(f"wrong_{side}").to_pylist()
    return np.array([float(right > max(wrong)) for right, wrong in zip(rights, wrongs, strict=True)])


def long_answer_figures(
    answers: pa.Table, preferences: pa.Table, resamples: int = 2000, seed: int = 1337
) -> dict[str, Any]:
    """Figures of a suite whose answers are sentences; what was not asked is absent.

    Args:
        answers: `pipeline.evaluation.answers.ANSWERS_SCHEMA`.
        preferences: `PREFERENCES`.
        resamples: Bootstrap samples of each interval.
        seed: Of the bootstrap.

    Returns:
        ``{rouge_l, paraphrase_preferred, long_answers, world_facts}``: the first two are single figures of the adapted
        model, about taught questions; ``long_answers`` says of how many they are means, and what they were before.
    """
    rouge = rouge_by_arm(answers, resamples, seed)
    found: dict[str, Any] = {"long_answers": {"rouge_l": rouge}}
    if TAUGHT_ARM in rouge:
        found["rouge_l"] = rouge[TAUGHT_ARM]["mean"]
    if preferences.num_rows:
        before, after = preferred(preferences, "pre"), preferred(preferences, "post")
        interval = mean_interval(after, preferences.column("item_id").to_pylist(), resamples, seed)
        found["paraphrase_preferred"] = float(after.mean())
        found["long_answers"]["paraphrase_preferred"] = {
            "pre": float(before.mean()),
            "post": float(after.mean()),
            "ci95": interval,
            "n": len(after),
        }
    if pairs := paired(answers, WORLD_ARMS):
        found["world_facts"] = kept_figures(pairs)
    return found
