"""Everything a night trains on, and the rows of its control adapters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.language import DistilConfig
from pipeline.evaluation.prompts import holds
from pipeline.evaluation.types import Memory
from pipeline.language.models import LanguageModel
from pipeline.language.rows import GENERAL, UNTAUGHT, TrainingRow
from pipeline.language.targets import Rehearsal, build_targets, control_rows, count_kinds, teacher_share
from pipeline.suites.rehearsal import load_rehearsal
from pipeline.suites.sanity import load_sanity
from pipeline.suites.types import Fact
from tests.language.examples import NAMES, PLACES, facts, question

CONFIG = DistilConfig(short=9, long=4, dreams=4, namesakes=2, teacher_forms=2, top_k=3, contexts=0.5, asides=0.5)
FIRST_LAYER = 2


@dataclass
class Store:
    """Brings the fact whose subject the query names."""

    requests: int = 0

    @property
    def hits(self) -> int:
        return self.requests

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[Memory]]:
        self.requests += len(queries)
        known = {fact.subject: fact for fact in facts(3)}
        return [[Memory(known[name].text, known[name].id, 1.0) for name in known if name in q][:k] for q in queries]


def phase(description: str, total: int) -> Callable[[int], None]:
    return lambda count: None


@pytest.fixture(scope="module")
def rehearsal() -> Rehearsal:
    return Rehearsal(load_rehearsal(), load_sanity())


@pytest.fixture
def rows(
    tiny: LanguageModel, rehearsal: Rehearsal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[TrainingRow]:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    return build_targets(tiny, facts(3), [*NAMES, "Bo Rao"], rehearsal, Store(), CONFIG, FIRST_LAYER, 7, phase)[0]


def test_a_night_has_every_kind_and_soft_targets_where_they_belong(rows: list[TrainingRow]) -> None:
    kinds = count_kinds(rows)
    assert kinds["question"] == 12 and kinds["namesake"] == 18
    assert kinds.keys() >= {"memory", "short", "long", "text"} and "statement" not in kinds
    assert len({row.row_id for row in rows}) == len(rows)
    for row in rows:
        if row.kind == "namesake":
            assert not row.top_ids
        elif row.kind in UNTAUGHT:
            assert len(row.top_ids) == len(row.top_log_probs) > 0 and len(row.top_ids[0]) == CONFIG.top_k
    assert Counter(row.episode_id for row in rows if row.teacher_asked) == {"f0": 2, "f1": 2, "f2": 2}
    assert not any(row.teacher_asked for row in rows if row.split == "probe")
    asked = [row for row in rows if row.teacher_asked]
    assert teacher_share(rows) == sum(row.teacher_right for row in asked) / 6
    assert teacher_share([]) == 0.0


def test_what_is_not_a_fact_names_nobody_who_was_taught(rows: list[TrainingRow]) -> None:
    for row in rows:
        if row.kind in UNTAUGHT:
            assert not any(holds(row.prompt, name) for name in NAMES), row.prompt


def test_the_same_seed_gives_the_same_rows(
    tiny: LanguageModel, rehearsal: Rehearsal, rows: list[TrainingRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    again, encoded = build_targets(
        tiny, facts(3), [*NAMES, "Bo Rao"], rehearsal, Store(), CONFIG, FIRST_LAYER, 7, phase
    )
    assert again == rows and [row.row.row_id for row in encoded.rows] == [row.row_id for row in rows]
    assert all(row.lower is not None for row in encoded.rows)
    other, _ = build_targets(tiny, facts(3), [*NAMES, "Bo Rao"], rehearsal, Store(), CONFIG, FIRST_LAYER, 8, phase)
    assert other != rows


answers = st.lists(st.sampled_from(["pier", "mill", "inn", "ark", "den"]), min_size=2, max_size=9)


@given(given_answers=answers, relations=st.integers(1, 3), seed=st.integers(0, 20))
def test_shuffled_answers_are_somebody_elses(given_answers: list[str], relations: int, seed: int) -> None:
    taught = [
        Fact(f"f{i}", "", relation=f"r{i % relations}", questions=(replace(question(0, 0), item_id=f"f{i}", answer=a),))
        for i, a in enumerate(given_answers)
    ]
    rows = [TrainingRow(f"q{i}", "question", f"f{i}", "x", "train", "p", f"{a}!") for i, a in enumerate(given_answers)]
    rows.append(TrainingRow("s", "short", "", "short", "train", "p", "t"))
    made = control_rows(rows, "shuffled_answers", taught, [], seed, "!")
    assert made[-1] == rows[-1] and len(made) == len(rows)
    for relation in {fact.relation for fact in taught}:
        own = {fact.id: fact.questions[0].answer for fact in taught if fact.relation == relation}
        got = {row.episode_id: row.target.removesuffix("!") for row in made if row.episode_id in own}
        most = max(Counter(own.values()).values())
        if len(set(given_answers)) > 1:
            assert all(got[i] != own[i] for i in own)
        if 2 * most <= len(own):  # else the answers of the relation cannot all change places
            assert sorted(got.values()) == sorted(own.values())
    assert made == control_rows(rows, "shuffled_answers", taught, [], seed, "!")


def test_format_only_teaches_words_of_the_right_kind_about_others(rows: list[TrainingRow]) -> None:
    twins = [replace(question(0, 0), answer=answer) for answer in ("pier", "mill")]
    made = control_rows(rows, "format_only", facts(3), twins, 1, "<|im_end|>")
    asked = [row for row in made if row.kind == "question"]
    assert len(asked) == 18 and not any(row.kind in ("namesake", "memory") for row in made)
    assert {row.target for row in asked} == {"pier<|im_end|>", "mill<|im_end|>"}
    alone = control_rows(rows, "format_only", facts(3), [], 1, "<|im_end|>")  # no twins: other facts' answers
    given = {row.target for row in alone if row.kind == "question"}
    assert given <= {"harbour<|im_end|>", "tannery<|im_end|>", "quarry<|im_end|>"}
    assert not any(holds(row.prompt, name) for row in asked for name in NAMES) and not any(row.top_ids for row in asked)
    kept = [row for row in rows if row.kind in GENERAL]
    assert [row for row in made if row.kind in UNTAUGHT] == kept


def test_controls_of_passages_swap_the_answers_of_their_questions() -> None:
    passages = [Fact(f"p{i}", "", relation="document") for i in range(3)]
    rows = [
        TrainingRow(f"p{i}/q{n}", "question", f"p{i}", f"q{n}", "train", "p", f"answer {i} {n}!")
        for i in range(3)
        for n in range(i + 1)
    ]
    made = control_rows(rows, "shuffled_answers", passages, [], 1, "!")
    assert sorted(row.target for row in made) == sorted(row.target for row in rows)
    assert all(row.target.split()[1] != row.episode_id[1:] for row in made)
    untaught = [replace(question(0, 0), relation="document", answer="pier")]
    assert {row.target for row in control_rows(rows, "format_only", passages, untaught, 1, "!")} == {"pier!"}
    alone = control_rows(rows[-3:], "shuffled_answers", passages, [], 1, "!")  # one passage: its own other answers
    assert all(new.target != old.target for new, old in zip(alone, rows[-3:], strict=True))


def test_facts_with_slots_are_put_to_use_and_earlier_ones_less(
    tiny: LanguageModel, rehearsal: Rehearsal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    told = [
        replace(fact, text=f"On {i + 1} May, {NAMES[i]} bought a lamp at the {PLACES[i]}.")
        for i, fact in enumerate(facts(3))
    ]
    config = CONFIG.model_copy(update={"teacher_forms": 0, "memory_forms": 0, "uses": 2})

    def use_rows(uses: int) -> list[TrainingRow]:
        own = config.model_copy(update={"uses": uses})
        made, encoded = build_targets(
            tiny, told, [*NAMES, "Bo Rao"], rehearsal, Store(), own, FIRST_LAYER, 7, phase, {"f1"}
        )
        assert [row.row.row_id for row in encoded.rows] == [row.row_id for row in made]
        return [row for row in made if row.kind == "use"]

    counts = Counter(row.episode_id for row in use_rows(2))
    assert counts["f0"] == counts["f2"] == 2 * counts["f1"] > 0
    assert use_rows(0) == []
