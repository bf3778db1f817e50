"""The examination of an entrant: held-out questions, controls, general questions and drift, each beside the base.

Questions, prompts, decoding, scores and intervals are those of a night's own stage ``evaluate``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.artifacts.jsonable import json_safe
from pipeline.config.examination import EvaluationConfig
from pipeline.evaluation.answers import score_answers
from pipeline.evaluation.arms import Ask, closed_book_asks
from pipeline.evaluation.drift import drift
from pipeline.evaluation.metrics import summarise
from pipeline.evaluation.prompts import check_closed_book
from pipeline.evaluation.sanity import sanity_asks
from pipeline.progress import Progress
from pipeline.protocol.entrants import Entrant, Weights
from pipeline.suites.drift_text import DRIFT_DOMAINS, load_drift
from pipeline.suites.sanity import load_sanity
from pipeline.suites.types import Question, Suite

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.language.models import LanguageModel

ASKED = ("pre_off", "post_off_heldout", "untaught_pre", "untaught", "near_miss")
"""Arms of an entrant's examination, beside those of sanity; what it was trained on is its own affair."""


def asks_of(suite: Suite, config: EvaluationConfig) -> list[Ask]:
    """Everything that is asked of the base and of the entrant.

    Args:
        suite: What was to be learned.
        config: ``controls=full`` asks every question, ``default`` a fixed subset.
    """
    asks = closed_book_asks(suite, config.controls, config.secondary_n)
    sanity_n = None if config.controls == "full" else config.sanity_n
    return [ask for ask in asks if ask.arm in ASKED] + sanity_asks(load_sanity(), sanity_n)


def examine(
    base: LanguageModel, entrant: Entrant, suite: Suite, config: EvaluationConfig, seed: int, progress: Progress
) -> tuple[dict[str, Any], pa.Table]:
    """Ask, score and measure.

    Args:
        base: The untouched model, in float32.
        entrant: Who is examined.
        suite: What was to be learned.
        config: How questions are asked.
        seed: Of the bootstrap.
        progress: Reports parts of the work.

    Returns:
        The figures of `score_figures`, and all answers (``pipeline.evaluation.answers.ANSWERS_SCHEMA``).

    Raises:
        DataError: A closed-book prompt holds its answer or its fact.
    """
    from pipeline.language.drift import drift_rows

    asks = asks_of(suite, config)
    before, after = ([ask for ask in asks if (ask.model == "base") == is_base] for is_base in (True, False))
    progress.phase("asking the base", len(before))
    answers = [_asked(base, Weights(base, is_base=True), before, suite, config, progress)]
    progress.phase("asking the entrant", len(after))
    answers.append(_asked(base, entrant, after, suite, config, progress))
    tokens = None if config.controls == "full" else config.drift_tokens
    rows = [row for domain in DRIFT_DOMAINS for row in drift_rows(base, load_drift(domain), tokens)]
    progress.phase("drift on other text", len(rows))
    drifted = drift(entrant.drift(base, rows, progress.advance))
    table = _joined(answers)
    return score_figures(summarise(table, suite, drifted, config.bootstrap, seed)), table


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(tables)


def _asked(
    base: LanguageModel,
    entrant: Entrant,
    asks: Sequence[Ask],
    suite: Suite,
    config: EvaluationConfig,
    progress: Progress,
) -> pa.Table:
    from pipeline.language.prompts import closed_book_prompt

    prompts, replies = entrant.answer([ask.question for ask in asks], config, progress.advance)
    if entrant.closed_book:
        blank = closed_book_prompt(base.tokenizer, Question("", "", "", "test", "", ""))
        check_closed_book(asks, prompts, {fact.id: fact for fact in suite.taught}, boilerplate=blank)
    return score_answers(asks, prompts, replies)


def score_figures(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What an entrant is compared by.

    Args:
        figures: Of `pipeline.evaluation.metrics.summarise`.

    Returns:
        ``{held_out: {em, em_ci95, f1, n, worst_form, worst_form_em, by_form, by_relation}, base: {em}, untaught: {em,
        n}, near_miss: {em, n}, hallucination, sanity, takeover, drift}``; ``worst_form`` is the phrasing with the
        lowest EM, the interval is clustered by fact, ``near_miss`` counts taught answers given to namesakes.
    """
    arms = figures["arms"]
    heldout = arms["post_off_heldout"]
    worst = min(heldout["by_form"], key=lambda form: (heldout["by_form"][form]["em"], form))
    found = {
        "held_out": {
            **{key: heldout[key] for key in ("em", "em_ci95", "f1", "n", "by_form", "by_relation")},
            "worst_form": worst,
            "worst_form_em": heldout["by_form"][worst]["em"],
        },
        "base": {"em": arms["pre_off"]["em"]},
        **{arm: {key: arms[arm][key] for key in ("em", "n")} for arm in ("untaught", "near_miss")},
        **{key: figures.get(key) for key in ("hallucination", "sanity", "takeover", "drift")},
    }
    plain: dict[str, Any] = json_safe(found)
    return plain
