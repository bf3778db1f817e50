"""An entrant reads facts, train and probe questions, and nothing that is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ArtifactError
from pipeline.evaluation.scoring import normalise
from pipeline.protocol.entry_kit import FACTS, RULES, export_kit
from pipeline.protocol.frozen import FROZEN, load_frozen
from pipeline.suites.facts import read_facts


def test_the_kit_holds_what_may_be_trained_and_no_test_question(tmp_path: Path) -> None:
    folder = export_kit("v1", tmp_path / "kit")
    suite, facts = load_frozen("v1"), read_facts(folder / FACTS)
    assert [fact.text for fact in facts] == [fact.text for fact in suite.taught]
    for read, taught in zip(facts, suite.taught, strict=True):
        for split in ("train", "probe"):
            mine, own = ([(q.question, q.answer, q.system, q.history) for q in f.asked(split)] for f in (read, taught))
            assert mine == own and mine
    told = normalise("\n".join((folder / name).read_text() for name in (FACTS, RULES)))
    asked = [q for fact in suite.taught for q in fact.asked("test")] + [*suite.untaught, *suite.near_miss]
    assert not [q.question for q in asked if normalise(q.question) in told]
    assert FROZEN["v1"].sha256 in (folder / RULES).read_text()
    with pytest.raises(ArtifactError, match="exists already"):
        export_kit("v1", folder)
