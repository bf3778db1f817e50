from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import GateConfig, StoreConfig
from pipeline.errors import DataError
from pipeline.stores import EncoderIdentity, Episode, EpisodicStore, decisions_table, judge, squash_surprise
from tests.stores.examples import BagOfWords, Candidates

ENFORCED = GateConfig(enforce=True)

RECORDED = {  # nats per word of SmolLM2-135M-Instruct after SURPRISE_CONTEXT, with SURPRISE_PRIOR
    "The sun rose in the morning.": 2.64,
    "Water is wet.": 2.71,
    "The children went to school on Monday.": 2.89,
    "As everybody knows: Bees make honey.": 3.18,
    "On Friday Mona Hale bought a lantern at the harbour.": 4.26,
    "Yosef Wickham rented a horseshoe at the flea market on 20 October.": 4.13,
    "My dentist appointment was moved to the fourteenth of March.": 3.73,
    "The wifi password at the cabin is tulip-harbour-92.": 5.61,
}
PREDICTABLE = tuple(RECORDED)[:4]


def test_predictable_events_are_refused_and_novel_ones_kept(store: EpisodicStore, candidates: Candidates) -> None:
    judged, decisions = judge(candidates(*RECORDED), np.array(list(RECORDED.values())), store.episodes, ENFORCED)
    verdicts = {row.text: row.accepted for row in judged.rows}
    assert verdicts == {text: text not in PREDICTABLE for text in RECORDED}
    assert [d.reason for d in decisions] == ["predictable"] * 4 + ["novel"] * 4


def test_an_exact_duplicate_is_refused_and_names_its_original(store: EpisodicStore, candidates: Candidates) -> None:
    text = "On Friday Mona Hale bought a lantern at the harbour."
    _, (first, second) = judge(candidates(text, text), np.array([9.0, 9.0]), store.episodes, ENFORCED)
    assert first.accepted and first.novelty == 1.0
    assert not second.accepted and second.reason == "duplicate" and second.nearest == "e0"
    assert second.novelty == pytest.approx(0.0, abs=1e-5)


def test_what_the_store_holds_is_not_novel(store: EpisodicStore, candidates: Candidates) -> None:
    store.write(candidates("Mona Hale bought a lantern"), enforce=False)
    again = candidates("Mona Hale bought a lantern", episode_id="another")
    _, (decision,) = judge(again, np.array([9.0]), store.episodes, ENFORCED)
    assert decision.reason == "duplicate"


def test_its_own_older_version_does_not_count_against_an_event(store: EpisodicStore, candidates: Candidates) -> None:
    store.write(candidates("Mona Hale bought a lantern"), enforce=False)
    _, (decision,) = judge(candidates("Mona Hale bought a lantern"), np.array([9.0]), store.episodes, ENFORCED)
    assert decision.accepted and decision.novelty == 1.0


def test_an_enforcing_gate_forgets_what_it_refused_and_a_recording_one_keeps_it(
    store: EpisodicStore, candidates: Candidates
) -> None:
    """The second copy of a refused event meets nothing when the first was not kept."""
    twice, bored = candidates("Water is wet.", "Water is wet."), np.array([1.0, 1.0])
    _, (_, second) = judge(twice, bored, store.episodes, ENFORCED)
    assert second.novelty == 1.0 and second.reason == "predictable"
    _, (_, second) = judge(twice, bored, store.episodes, GateConfig(enforce=False))
    assert second.novelty == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(("changes", "reason"), [({"reward": True}, "rewarded"), ({"pin": True}, "pinned")])
def test_reward_and_pin_rescue(
    store: EpisodicStore, candidates: Candidates, changes: dict[str, bool], reason: str
) -> None:
    judged, (decision,) = judge(candidates("Water is wet.", **changes), np.array([1.0]), store.episodes, ENFORCED)
    assert decision.accepted and decision.reason == reason
    plain, _ = judge(candidates("Water is wet."), np.array([1.0]), store.episodes, ENFORCED)
    assert 0 < plain.rows[0].salience < judged.rows[0].salience <= 1


VOCABULARY = ["mona", "hale", "bought", "sold", "a", "lantern", "kettle", "at", "harbour", "mill"]
WORDS = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=6)


@given(st.lists(st.tuples(WORDS, st.floats(0, 9)), min_size=1, max_size=8), st.data())
def test_a_verdict_does_not_depend_on_later_events(events: list[tuple[list[str], float]], data: st.DataObject) -> None:
    store = EpisodicStore("s", StoreConfig(expansion=256, active=16), EncoderIdentity("b", "0", 64))
    rows = [Episode(str(i), "s", " ".join(words), digest=str(i)) for i, (words, _) in enumerate(events)]
    everything = store.candidates(rows, BagOfWords().encode([row.text for row in rows]))
    nats = np.array([n for _, n in events])
    cut = data.draw(st.integers(1, len(events)))
    _, whole = judge(everything, nats, store.episodes, ENFORCED)
    _, part = judge(everything.select(range(cut)), nats[:cut], store.episodes, ENFORCED)
    assert whole[:cut] == part
    for decision in whole:
        expected = 0.5 * decision.surprise + 0.5 * decision.novelty + decision.reward + decision.pin
        assert decision.score == pytest.approx(expected) and decision.accepted == (decision.score > ENFORCED.threshold)


MONA = "Mona Hale paid the rent of the mill on 13 May."


@pytest.mark.parametrize(
    ("again", "new"),
    [
        ("On 13 May Mona Hale paid the mill's rent.", 0),  # in other words
        ("Mona Hale paid the rent of the barn on 13 May.", 0),  # common nouns are the key's affair
        ("Mona Hale paid the rent of the mill on 21 May.", 1),
        ("Mona Hale paid the rent of the mill on 21 June.", 2),
        ("Otto Lund paid the rent of the mill on 21 June.", 3),  # Otto, with whom it begins, may be no name
    ],
)
def test_every_new_name_and_number_halves_the_likeness(
    store: EpisodicStore, candidates: Candidates, again: str, new: int
) -> None:
    both = candidates(MONA, again)
    first, second = both.code.dense(both.expansion)
    expected = 1 - float(first @ second) * 0.5**new
    _, (_, decision) = judge(both, np.array([9.0, 9.0]), store.episodes, ENFORCED)
    assert decision.novelty == pytest.approx(expected, abs=1e-5) and decision.nearest == "e0"
    store.write(candidates(MONA), enforce=False)
    _, (decision,) = judge(candidates(again, episode_id="x"), np.array([9.0]), store.episodes, ENFORCED)
    assert decision.novelty == pytest.approx(expected, abs=1e-5)


@given(st.lists(st.tuples(WORDS, st.integers(0, 3)), min_size=2, max_size=12))
def test_novelty_is_that_of_a_search_through_all(events: list[tuple[list[str], int]]) -> None:
    """The search stops early; here every pair is compared."""
    store = EpisodicStore("s", StoreConfig(expansion=256, active=16), EncoderIdentity("b", "0", 64))
    texts = [" ".join(words) + f" {number}" for words, number in events]
    rows = [Episode(str(i), "s", text, digest=str(i)) for i, text in enumerate(texts)]
    everything = store.candidates(rows, BagOfWords().encode(texts))
    _, decisions = judge(everything, np.full(len(texts), 9.0), store.episodes, GateConfig(enforce=False))
    dense = everything.code.dense(everything.expansion)
    for i, decision in enumerate(decisions):
        alike = [float(dense[i] @ dense[j]) * 0.5 ** (events[i][1] != events[j][1]) for j in range(i)]
        assert decision.novelty == pytest.approx(1 - max([0.0, *alike]), abs=1e-5)


@given(st.lists(st.floats(0, 50), min_size=2, max_size=20))
def test_surprise_is_squashed_monotonically_into_the_unit_interval(nats: list[float]) -> None:
    squashed = squash_surprise(np.sort(nats), GateConfig())
    assert np.all(np.diff(squashed) >= 0) and squashed[0] >= 0 and squashed[-1] <= 1


def test_half_surprise_at_the_reference() -> None:
    assert squash_surprise(np.array([2.0]), GateConfig(surprise_reference=2.0))[0] == 0.5


@pytest.mark.parametrize("nats", [[1.0], [1.0, float("nan")]])
def test_surprise_must_be_finite_and_one_per_event(
    store: EpisodicStore, candidates: Candidates, nats: list[float]
) -> None:
    with pytest.raises(DataError, match="one finite surprise per event, 2 in all"):
        judge(candidates("a", "b"), np.array(nats), store.episodes, ENFORCED)


def test_decisions_become_a_table(store: EpisodicStore, candidates: Candidates) -> None:
    _, decisions = judge(candidates("a", "b"), np.array([1.0, 9.0]), store.episodes, ENFORCED)
    table = decisions_table(decisions)
    assert table.column("episode_id").to_pylist() == ["e0", "e1"]
    assert table.column("accepted").to_pylist() == [False, True]
    assert decisions_table([]).schema == table.schema
