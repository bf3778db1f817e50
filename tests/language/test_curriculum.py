"""What a step trains on: every form in turn, most for what is least known, a rate that rises and falls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.language import LoraConfig
from pipeline.language.curriculum import Curriculum, Standing, schedule
from pipeline.language.encoding import EncodedRow, EncodedRows
from pipeline.language.rows import GENERAL, UNTAUGHT, Kind, TrainingRow
from pipeline.suites.types import Split


def encoded(*wanted: tuple[Kind, Split, int, int]) -> EncodedRows:
    """``(kind, split, facts, rows of each)`` parts; a namesake's row has the form of a question."""
    rows = [
        TrainingRow(f"{kind}/{split}/{fact}/{i}", kind, "" if kind in GENERAL else f"f{fact}", str(i), split, "p", "t")
        for kind, split, facts, count in wanted
        for fact in range(facts)
        for i in range(count)
    ]
    return EncodedRows([EncodedRow(row, [1], [0], [2], 0) for row in rows], [], 0)


def names(plan: list[list[EncodedRow]]) -> list[list[str]]:
    return [[row.row.row_id for row in step] for step in plan]


@given(
    facts=st.integers(1, 5),
    forms=st.integers(1, 11),
    config=st.builds(LoraConfig, forms_per_epoch=st.integers(1, 12), batch_size=st.integers(1, 20) | st.none()),
    seed=st.integers(0, 99),
)
def test_forms_rotate_until_all_were_seen(facts: int, forms: int, config: LoraConfig, seed: int) -> None:
    rows = encoded(
        ("question", "train", facts, forms), ("question", "probe", facts, 2), ("statement", "train", facts, 3)
    )
    curriculum, standing = Curriculum(rows, config, seed), Standing()
    size = config.batch_size or 4  # so few facts make the smallest steps
    share = min(forms, config.forms_per_epoch)
    seen: Counter[str] = Counter()
    for epoch in range(-(-max(forms, 3 * share) // share)):
        before = Standing(dict(standing.asked))
        plan = curriculum.epoch(epoch, standing)
        flat = [name for step in names(plan) for name in step]
        assert len(flat) == len(set(flat)) == facts * (share + 1)
        assert len(plan) == curriculum.steps_per_epoch
        assert not any("probe" in name for name in flat)
        assert all(len(step) == size for step in plan[:-1]) and 1 <= len(plan[-1]) <= size
        seen.update(name for name in flat if name.startswith("question"))
        assert names(curriculum.epoch(epoch, before)) == names(plan) and before == standing
    assert len(seen) == facts * forms
    assert max(seen.values()) - min(seen.values()) <= 1


@given(losses=st.lists(st.floats(0, 9), min_size=2, max_size=9), evenness=st.floats(0.01, 5))
def test_what_is_less_known_is_asked_more(losses: list[float], evenness: float) -> None:
    config = LoraConfig(forms_per_epoch=4, evenness=evenness)
    curriculum = Curriculum(encoded(("question", "train", len(losses), 6)), config, 1)
    standing = Standing(loss={f"f{i}": loss for i, loss in enumerate(losses)})
    asked = Counter(row.row.episode_id for step in curriculum.epoch(0, standing) for row in step)
    assert sum(asked.values()) == 4 * len(losses) and dict(asked) == {f: n for f, n in standing.asked.items() if n}
    for i, loss in enumerate(losses):
        weight = min(loss, 3.0) + evenness
        quota = 4 * len(losses) * weight / sum(min(other, 3.0) + evenness for other in losses)
        assert abs(asked[f"f{i}"] - quota) <= 1


def test_standing_fades() -> None:
    standing = Standing()
    standing.learn({"a": [2.0, 4.0], "b": [1.0]})
    standing.learn({"a": [1.0]})
    assert standing.loss == pytest.approx({"a": 0.3 * 3.0 + 0.7 * 1.0, "b": 1.0})


@pytest.mark.parametrize("kind", ["short", "long", "text"])
def test_every_step_gets_its_share_of_rehearsal_in_turn(kind: Kind) -> None:
    config = LoraConfig(batch_size=4, forms_per_epoch=4, **{f"{kind}_ratio": 0.5})
    rows = encoded(("question", "train", 3, 4), (kind, "train", 1, 9))
    curriculum, standing = Curriculum(rows, config, 7), Standing()
    plans = [step for epoch in range(6) for step in curriculum.epoch(epoch, standing)]
    counted = [[row.row.row_id for row in step if row.row.kind == kind] for step in plans]
    assert all(len(step) == 2 for step in counted)
    seen = Counter(name for step in counted for name in step)
    assert len(seen) == 9 and max(seen.values()) - min(seen.values()) <= 1
    other = [row.row.row_id for row in Curriculum(rows, config, 8).epoch(0, Standing())[0]]
    assert [row.row.row_id for row in plans[0]] != other


def test_less_than_a_row_a_step_comes_every_few_steps() -> None:
    config = LoraConfig(batch_size=4, forms_per_epoch=4, long_ratio=0.125, text_ratio=0.125)
    rows = encoded(("question", "train", 4, 8), ("long", "train", 1, 3), ("text", "train", 1, 3))
    curriculum, standing = Curriculum(rows, config, 7), Standing()
    plans = [step for epoch in range(4) for step in curriculum.epoch(epoch, standing)]
    kinds = [[row.row.kind for row in step if row.row.kind in ("long", "text")] for step in plans]
    assert kinds == [["text"], ["long"]] * 8
    seen = Counter(row.row.row_id for step in plans for row in step if row.row.kind == "long")
    assert sum(seen.values()) == 8 and max(seen.values()) - min(seen.values()) <= 1


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_a_namesake_stands_beside_its_question(ratio: float) -> None:
    rows = encoded(("question", "train", 3, 4), ("namesake", "train", 2, 4), ("namesake", "train", 2, 4))
    config = LoraConfig(batch_size=6, forms_per_epoch=4, contrast_ratio=ratio)
    paired = 0
    for step in Curriculum(rows, config, 1).epoch(0, Standing()):
        asked = [(r.row.episode_id, r.row.form) for r in step if r.row.kind == "question"]
        beside = [(r.row.episode_id, r.row.form) for r in step if r.row.kind == "namesake"]
        assert beside == [pair for pair in asked if pair[0] != "f2"][: round(ratio * len(asked))]
        paired += len(beside)
    assert (paired == 8) if ratio == 1.0 else paired < 8  # the third fact has no namesakes


def test_namesakes_stand_beside_what_is_known_best() -> None:
    rows = encoded(("question", "train", 4, 4), ("namesake", "train", 4, 4))
    config = LoraConfig(batch_size=4, forms_per_epoch=4, contrast_ratio=0.5, evenness=100.0)
    losses = {"f0": 2.0, "f1": 0.1, "f2": 1.0, "f3": 0.5}
    for step in Curriculum(rows, config, 1).epoch(1, Standing(loss=dict(losses))):
        asked = sorted((losses[r.row.episode_id], r.row.form) for r in step if r.row.kind == "question")
        beside = sorted((losses[r.row.episode_id], r.row.form) for r in step if r.row.kind == "namesake")
        assert [loss for loss, _ in beside] == [loss for loss, _ in asked[:2]] and set(beside) <= set(asked)


def test_memory_prompts_come_together() -> None:
    config = LoraConfig(batch_size=2, forms_per_epoch=8, memory_ratio=0.375, memory_every=4)
    rows = encoded(("question", "train", 3, 8), ("memory", "train", 3, 4))
    steps = Curriculum(rows, config, 1).epoch(0, Standing())
    counts = [sum(row.row.kind == "memory" for row in step) for step in steps]
    assert counts == [0, 0, 3, 0] * 3
    assert len({row.row.row_id for step in steps for row in step if row.row.kind == "memory"}) == 9


def test_without_rehearsal_only_facts_are_learned() -> None:
    rows = encoded(("question", "train", 2, 3))
    plan = Curriculum(rows, LoraConfig(), 1).epoch(0, Standing())
    assert plan and not any(row.row.kind in UNTAUGHT for step in plan for row in step)
    empty = Curriculum(encoded(("short", "train", 1, 3), ("question", "probe", 1, 3)), LoraConfig(), 1)
    assert empty.epoch(0, Standing()) == [] and empty.steps_per_epoch == 0


@given(
    steps=st.integers(1, 300),
    config=st.builds(LoraConfig, learning_rate=st.floats(1e-6, 1), warmup=st.floats(0, 1)),
)
def test_the_rate_rises_to_its_peak_and_falls_to_a_tenth(steps: int, config: LoraConfig) -> None:
    rates = [schedule(step, steps, config) for step in range(steps)]
    peak, top = config.learning_rate, rates.index(max(rates))
    assert all(0 < rate <= peak * (1 + 1e-12) for rate in rates)
    assert max(rates) == pytest.approx(peak)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates[top:]) >= 0.1 * peak - 1e-12
    if steps - top > 30:
        assert rates[-1] <= 0.13 * peak


@given(old=st.integers(1, 40), new=st.integers(0, 4), ratio=st.floats(0, 2), seed=st.integers(0, 9))
def test_facts_of_earlier_nights_share_a_budget_that_does_not_grow(old: int, new: int, ratio: float, seed: int) -> None:
    config = LoraConfig(forms_per_epoch=4, known_ratio=ratio)
    known = {f"f{i}" for i in range(old)}
    curriculum, standing = Curriculum(encoded(("question", "train", old + new, 5)), config, seed, known), Standing()
    asked = Counter(row.row.episode_id for step in curriculum.epoch(0, standing) for row in step)
    earlier = sum(count for fact, count in asked.items() if fact in known)
    assert sum(asked.values()) - earlier == 4 * new
    assert earlier == (min(4 * old, round(ratio * 4 * new)) if new else 4 * old)
    assert len({row.row.row_id for row in curriculum.to_measure(3)}) == old


def test_what_has_slipped_is_rehearsed_first() -> None:
    rows = encoded(("question", "train", 10, 4), ("statement", "train", 10, 2))
    known = {f"f{i}" for i in range(8)}
    curriculum = Curriculum(rows, LoraConfig(forms_per_epoch=4, known_ratio=1.0, evenness=0.01), 1, known)
    standing = Standing(loss={**dict.fromkeys(known, 0.0), "f5": 2.0, "f8": 1.0, "f9": 1.0})
    asked = Counter(row.row.row_id for step in curriculum.epoch(0, standing) for row in step)
    questions = Counter(name.split("/")[2] for name in asked.elements() if name.startswith("question"))
    assert questions["5"] >= 7 and questions["8"] == questions["9"] == 4
    told = {name.split("/")[2] for name in asked if name.startswith("statement")}
    assert told == {"8", "9"}, "what is known is asked for, not told again"


def in_use(uses: Sequence[str], facts: int, rows: int) -> list[EncodedRow]:
    """Rows that put facts to use."""
    made = [
        TrainingRow(f"{use}/{fact}/{i}", "use", f"f{fact}", f"{use}/r/train-{i}", "train", "p", "t")
        for use in uses
        for fact in range(facts)
        for i in range(rows)
    ]
    return [EncodedRow(row, [1], [0], [2], 0) for row in made]


def with_uses(rows: EncodedRows, uses: list[EncodedRow]) -> EncodedRows:
    return EncodedRows([*rows.rows, *uses], [], 0)


@given(ratio=st.sampled_from([0.25, 0.5, 0.75, 1.0, 2.0]), seed=st.integers(0, 9))
def test_uses_take_turns_beside_the_questions_and_none_of_their_places(ratio: float, seed: int) -> None:
    questions = encoded(("question", "train", 5, 6), ("namesake", "train", 5, 6))
    config = LoraConfig(batch_size=4, forms_per_epoch=4, use_ratio=ratio)
    uses = ("implied", "reversed", "tell", "yes_no")
    curriculum, plain = (
        Curriculum(with_uses(questions, in_use(uses, 5, 4)), config, seed),
        Curriculum(questions, config, seed),
    )
    standing, alone = Standing(), Standing()
    seen: Counter[str] = Counter()
    steps = 0
    for epoch in range(8):
        plan = curriculum.epoch(epoch, standing)
        steps += len(plan)
        rest = [[row for row in step if row.row.kind != "use"] for step in plan]
        assert names(rest) == names(plain.epoch(epoch, alone)) and standing == alone
        seen.update(row.row.row_id for step in plan for row in step if row.row.kind == "use")
    assert sum(seen.values()) == int(steps * 4 * ratio)
    by_use = Counter({use: sum(n for name, n in seen.items() if name.startswith(f"{use}/")) for use in uses})
    assert max(by_use.values()) - min(by_use.values()) <= 1
    assert max(seen.values()) - min(seen[name.row.row_id] for name in in_use(uses, 5, 4)) <= 1


def test_uses_of_earlier_facts_have_one_turn_in_four_and_all_where_there_is_no_news() -> None:
    questions, uses = encoded(("question", "train", 8, 4)), in_use(("tell", "yes_no"), 8, 2)
    known = {f"f{i}" for i in range(6)}
    config = LoraConfig(batch_size=4, forms_per_epoch=4, use_ratio=1.0, known_ratio=1.0)

    def given_uses(earlier: set[str]) -> list[EncodedRow]:
        plan = Curriculum(with_uses(questions, uses), config, 1, earlier).epoch(0, Standing())
        return [row for step in plan for row in step if row.row.kind == "use"]

    dealt = given_uses(known)
    assert sum(row.row.episode_id in known for row in dealt) == len(dealt) // 4 > 0
    assert len(given_uses({f"f{i}" for i in range(8)})) > 0


def test_a_step_has_no_use_twice() -> None:
    rows = with_uses(encoded(("question", "train", 2, 4)), in_use(("tell",), 1, 2))
    for step in Curriculum(rows, LoraConfig(batch_size=8, use_ratio=1.0), 1).epoch(0, Standing()):
        named = [row.row.row_id for row in step if row.row.kind == "use"]
        assert len(named) == len(set(named)) == 2
