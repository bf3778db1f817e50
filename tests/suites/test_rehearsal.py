"""Rehearsal: enough of it, and none of it about anything that sanity asks."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.suites.disjoint import LIGHT, SHORT_REPLY, words_of
from pipeline.suites.drift_text import load_drift
from pipeline.suites.rehearsal import RehearsalPrompt, clean_reply, conflicts, load_rehearsal, prompt_conflicts
from pipeline.suites.sanity import SanityQuestion, load_sanity
from pipeline.suites.shipped import DATA

SANITY = load_sanity()
BANK = load_rehearsal()


def question(answer: str, subject: str, *aliases: str) -> SanityQuestion:
    return SanityQuestion(f"general-{answer}", "general", "dev", f"What about {subject}?", answer, aliases, subject)


SMALL = (
    question("Paris", "France"),
    question("mice", "plural of mouse"),
    question("eight", "spider", "8"),
    question("yellow", "banana"),
)


def test_there_is_enough_of_everything() -> None:
    assert len(BANK.short) >= 900
    assert len(BANK.long) >= 240 and sum(p.system is not None for p in BANK.long) >= 40
    assert len(set(BANK.slots.first)) >= 150 and len(set(BANK.slots.last)) >= 150
    assert len(set(BANK.asides.before)) >= 20 and len(set(BANK.asides.after)) >= 10
    assert len(set(BANK.slots.thing)) >= 60 and len(set(BANK.slots.place)) >= 50


def test_no_shipped_prompt_conflicts_with_sanity() -> None:
    shipped = [*BANK.short, *BANK.long]
    bad = {p.id: found for p in shipped if (found := prompt_conflicts(f"{p.system or ''} {p.prompt}", SANITY))}
    assert bad == {}


def test_no_prompt_is_repeated() -> None:
    shipped = [*BANK.short, *BANK.long]
    assert len({p.id for p in shipped}) == len(shipped)
    texts = Counter(" ".join(words_of(f"{p.system or ''} {p.prompt}")) for p in shipped)
    assert [text for text, times in texts.items() if times > 1] == []


def test_no_drift_prompt_and_no_sanity_question_is_rehearsed() -> None:
    rehearsed = {" ".join(words_of(p.prompt)) for p in (*BANK.short, *BANK.long)}
    held_out = [d.prompt for domain in ("chat", "known") for d in load_drift(domain)] + [q.question for q in SANITY]
    assert [text for text in held_out if " ".join(words_of(text or "")) in rehearsed] == []


@pytest.mark.parametrize(
    ("text", "light", "found"),
    [
        ("Is FRANCE large?", True, ["france"]),
        ("France's north", True, ["france"]),
        ("Frances is my aunt", True, ["france"]),  # plural folding errs on the strict side
        ("the francesca", True, []),
        ("What is the plural of a mouse?", True, ["plural of mouse"]),
        ("The plural of house", True, []),
        ("Spiders have 8 legs", True, ["8", "spider"]),
        ("It has 8 legs", False, []),
        ("a yellow door", False, []),
        ("a yellow door", True, ["yellow"]),
        ("Pâris", True, ["paris"]),
        ("", True, []),
    ],
)
def test_conflicts_match_whole_folded_words(text: str, light: bool, found: list[str]) -> None:
    assert conflicts(text, SMALL, light=light) == found


@pytest.mark.parametrize(
    ("prompt", "reply", "kept"),
    [
        ("Where is Lima?", " Lima is in Peru. ", "Lima is in Peru."),
        ("Where is France?", "It is in Europe.", None),
        ("Name a city.", "Paris", None),
        ("How many legs has an octopod?", "It has eight.", None),
        ("Tell me more.", "", None),
        ("Tell me more.", "...", None),
        (
            "Tell me about cities.",
            "Cities are large places where many people live close together and trade. Paris is one. Lima is one.",
            "Cities are large places where many people live close together and trade.",
        ),
        (
            "List cities.",
            "Here are some of the cities that people like to visit in the warm months:\n1. Lima\n2. Paris",
            "Here are some of the cities that people like to visit in the warm months:\n1. Lima",
        ),
        ("List cities.", "Of all the many cities of the world that I know I like Paris best. Lima is nice.", None),
        (
            "Describe a taxi.",
            "A taxi is a car that takes people where they want to go, and often it is yellow all over.",
            "A taxi is a car that takes people where they want to go, and often it is yellow all over.",
        ),
        ("Describe a taxi.", "It is yellow. Taxis of this kind are seen often on the busy roads of France.", None),
    ],
)
def test_clean_reply_drops_or_cuts(prompt: str, reply: str, kept: str | None) -> None:
    assert clean_reply(prompt, reply, SMALL) == kept


WORDS = st.sampled_from(
    ["Lima", "is", "Paris", "big.", "It", "8", "yellow", "France!", "mice", "\n", "1.", "and", "so", "far"]
)


@given(st.lists(WORDS, max_size=40).map(" ".join))
def test_a_kept_reply_is_a_clean_beginning(reply: str) -> None:
    kept = clean_reply("Tell me.", reply, SMALL)
    if kept is not None:
        assert reply.strip().startswith(kept) and kept == kept.strip() != ""
        assert conflicts(kept, SMALL, light=len(kept.split()) <= SHORT_REPLY) == []
        assert clean_reply("Tell me.", kept, SMALL) == kept
    elif len(reply.split()) <= SHORT_REPLY:
        assert conflicts(reply, SMALL) or not words_of(reply)


def test_light_words_are_single_words() -> None:
    assert all(words_of(word) == [word] for word in LIGHT - {"a"})


@pytest.fixture
def copied_bank(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "rehearsal", tmp_path / "rehearsal"))


def test_the_digest_follows_the_files(copied_bank: Path, tmp_path: Path) -> None:
    assert load_rehearsal(copied_bank) == BANK
    changed = Path(shutil.copytree(copied_bank, tmp_path / "changed"))
    with (changed / "short.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "short-x", "prompt": "Is it late?", "system": null}\n')
    bank = load_rehearsal(changed)
    assert bank.short[-1] == RehearsalPrompt("short-x", "Is it late?")
    assert bank.digest != BANK.digest


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("short.jsonl", '{"id": "short-1", "prompt": " ", "system": null}\n', "expected a prompt"),
        ("long.jsonl", '{"id": "long-1", "prompt": "x"}\n', "wrong: system"),
        ("slots.jsonl", '{"slot": "first", "values": ["Ada"]}\n', "expected values for the slots"),
        ("asides.jsonl", '{"where": "before", "text": "By the way:"}\n', "some of both"),
        ("asides.jsonl", '{"where": "amid", "text": "well"}\n', "some of both"),
    ],
)
def test_malformed_files_are_named(copied_bank: Path, name: str, content: str, reason: str) -> None:
    (copied_bank / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=reason) as caught:
        load_rehearsal(copied_bank)
    assert name in str(caught.value)
