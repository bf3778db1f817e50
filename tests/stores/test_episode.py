from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import StoreError
from pipeline.replay import IDENTITY_HASH, identity_hashes
from pipeline.stores import Episode, Episodes, Expansion, episode_of, forms_of, from_table, to_table
from pipeline.suites.types import Fact, Question


def question(split: str, text: str) -> Question:
    return Question(
        item_id="f1",
        relation="person_place",
        form=f"person_place/{split}-1",
        split=split,  # type: ignore[arg-type]
        question=text,
        answer="harbour",
        aliases=("the port",),
        history=(("Hi", "Hello!"),),
    )


FACT = Fact(
    id="f1",
    text="On Friday Mona Hale bought a lantern at the harbour.",
    session="day-01",
    subject="Mona Hale",
    relation="person_place",
    pin=True,
    statements=("Mona Hale was at the harbour.",),
    questions=(question("train", "Where was Mona?"), question("probe", "Mona was where?"), question("test", "SECRET")),
)


def test_train_and_probe_forms_survive_and_test_forms_never_enter() -> None:
    episode = episode_of(FACT, source="suite:episodic", created=3)
    forms = forms_of(episode.forms, "f1")
    assert forms.statements == FACT.statements
    assert forms.questions == FACT.questions[:2]
    assert "SECRET" not in repr(episode)
    assert (episode.session, episode.created, episode.pin, episode.reward) == ("day-01", 3, True, False)


def test_the_session_option_wins() -> None:
    assert episode_of(FACT, source="file", created=0, session="mine").session == "mine"


def test_the_digest_sees_what_is_learnt_and_no_test_question() -> None:
    digest = episode_of(FACT, source="a", created=0).digest
    other_test = replace(FACT, questions=(*FACT.questions[:2], question("test", "another")))
    other_train = replace(FACT, questions=(question("train", "another"), *FACT.questions[1:]))
    assert episode_of(other_test, source="b", created=9).digest == digest
    for changed in (other_train, replace(FACT, text="x"), replace(FACT, reward=True), replace(FACT, statements=())):
        assert episode_of(changed, source="a", created=0).digest != digest


def some(n: int, expansion: Expansion) -> Episodes:
    keys = np.random.default_rng(n).standard_normal((n, expansion.dimension)).astype(np.float32)
    rows = [Episode(f"e{i}", "s", f"text {i} ☃", digest=f"{i}", salience=i / 7, pin=i % 2 == 0) for i in range(n)]
    return Episodes.of(rows, keys, expansion)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_table_holds_everything(n: int) -> None:
    expansion = Expansion(24, 128, 8)
    episodes = some(n, expansion)
    back = from_table(to_table(episodes), expansion)
    assert back.rows == episodes.rows
    np.testing.assert_array_equal(back.keys, episodes.keys)
    np.testing.assert_array_equal(back.code.units, episodes.code.units)
    np.testing.assert_array_equal(back.code.activity, episodes.code.activity)


def test_a_table_keeps_the_hashes_that_replay_draws_by() -> None:
    table = to_table(some(5, Expansion(24, 128, 8)))
    expected = identity_hashes("episodic", table.drop_columns([IDENTITY_HASH]))
    assert table.column(IDENTITY_HASH).to_pylist() == expected.tolist()
    assert from_table(table.drop_columns([IDENTITY_HASH]), Expansion(24, 128, 8)).rows, "older tables have none"


def test_codes_of_another_width_are_made_anew() -> None:
    episodes = some(4, Expansion(24, 128, 8))
    back = from_table(to_table(episodes), Expansion(24, 128, 16))
    assert back.code.units.tolist() == Expansion(24, 128, 16).encode(episodes.keys).units.tolist()


def test_a_missing_column_or_another_dimension_is_an_error() -> None:
    table = to_table(some(2, Expansion(24, 128, 8)))
    with pytest.raises(StoreError, match="salience"):
        from_table(table.drop_columns(["salience"]), Expansion(24, 128, 8))
    with pytest.raises(StoreError, match="keys of length 25, found 24"):
        from_table(table, Expansion(25, 128, 8))


def test_details_count_in_the_digest_only_where_there_are_any() -> None:
    """The digest of an event is the one that stores from before there were details hold."""
    fact = Fact("a", "Mona Hale bought a lantern.", subject="Mona Hale")
    event = episode_of(fact, source="s", created=0)
    assert event.digest == "0df3f77de8679e176bd8bef38fe7351f216aa750100d4ddd61cac7babef248c6"
    edge = episode_of(replace(fact, details='{"head": "Mona Hale"}'), source="s", created=0)
    assert edge.digest != event.digest and edge.details == '{"head": "Mona Hale"}' and event.details == ""


def test_a_table_from_before_there_were_details_opens() -> None:
    expansion = Expansion(24, 128, 8)
    episodes = some(3, expansion)
    assert from_table(to_table(episodes).drop_columns(["details"]), expansion).rows == episodes.rows
