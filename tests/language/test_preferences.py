"""The likelihoods of a choice's answers stand in its own row, each where its answer stands."""

from __future__ import annotations

import numpy as np

from pipeline.language.likelihood import answer_log_probs
from pipeline.language.models import LanguageModel
from pipeline.language.preferences import preference_table
from pipeline.language.prompts import closed_book_prompt
from pipeline.suites.types import Choice, Question


def test_every_answer_is_scored_after_its_own_question(tiny: LanguageModel, own_tiny: LanguageModel) -> None:
    for parameter in own_tiny.model.parameters():
        parameter.data.mul_(1.2)
    asked = [Question(f"q{i}", "r", "f", "test", text, "") for i, text in enumerate(("Where is it?", "Who was that?"))]
    choices = [
        Choice(asked[0], "At the harbour.", ("At the mill.", "In a town.", "No.")),
        Choice(asked[1], "Mona", ("Otto",)),
    ]
    counted: list[int] = []
    rows = preference_table(tiny, own_tiny, choices, counted.append).to_pylist()
    assert sum(counted) == 2 * 6 and [row["item_id"] for row in rows] == ["q0", "q1"]
    for choice, row in zip(choices, rows, strict=True):
        assert (row["right"], tuple(row["wrong"])) == (choice.right, choice.wrong)
        prompt = closed_book_prompt(tiny.tokenizer, choice.question)
        for side, lm in (("pre", tiny), ("post", own_tiny)):
            answers = (choice.right, *choice.wrong)
            expected = answer_log_probs(lm, [prompt] * len(answers), answers)
            np.testing.assert_allclose([row[f"right_{side}"], *row[f"wrong_{side}"]], expected, rtol=1e-4)
    assert rows[0]["right_pre"] != rows[0]["right_post"]
    assert preference_table(tiny, own_tiny, []).num_rows == 0
