"""A day of messages for the write gate: a few worth keeping, among repetitions, common knowledge and small talk.

What is worth keeping is new: invented events of the episodic suite, notes of a household, and sentences that are
ordinary but for a reward or a pin. A repetition says again, in the same words or in others, what was said before. All
of it is drawn with a seed from vocabulary and sentences that the package ships; no test question is among them.

Sentences and notes fall into two halves by a hash. The gate's defaults were chosen on days of the half ``dev``; the
benchmark's days are of the half ``test``.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import yaml

from pipeline.errors import DataError
from pipeline.suites.decks import Deck
from pipeline.suites.episodic import build_episodic
from pipeline.suites.shipped import DATA, shipped_bytes
from pipeline.suites.types import Fact
from pipeline.suites.vocabulary import vocabulary

Kind = Literal["event", "note", "pinned", "rewarded", "duplicate", "paraphrase", "known", "chat"]
Half = Literal["dev", "test"]
WORTH: tuple[Kind, ...] = ("event", "note", "pinned", "rewarded")
SHARES: dict[Kind, float] = {"event": 0.4, "note": 0.4, "pinned": 0.1, "rewarded": 0.1}
"""Parts of what is worth keeping."""
NOISE: dict[Kind, float] = {"duplicate": 1 / 6, "paraphrase": 5 / 18, "known": 1 / 6, "chat": 7 / 18}
"""Parts of the rest; of a thousand messages with a hundred worth keeping 150, 250, 150 and 350."""
FRAMES = ("{}", "By the way: {}", "I read it again today: {}", "As everybody knows: {}")
"""In which common knowledge is told."""


@dataclass(frozen=True)
class Message:
    """One message of the day.

    Attributes:
        fact: Its text, with its reward and pin.
        kind: What it is.
        repeats: Id of the message that it says again; empty where it says something of its own.
    """

    fact: Fact
    kind: Kind
    repeats: str = ""

    @property
    def worth(self) -> bool:
        """Whether it should be kept."""
        return self.kind in WORTH


@dataclass(frozen=True)
class _Told:
    """Something worth keeping, and other words for it."""

    text: str
    kind: Kind
    others: tuple[str, ...]
    reward: bool = False
    pin: bool = False


def day_of_messages(messages: int, worth: int, seed: int, half: Half = "test") -> tuple[Message, ...]:
    """A day's messages in their order; a repetition comes after what it repeats.

    Args:
        messages: All of them.
        worth: How many are worth keeping.
        seed: Of the day.
        half: Whose sentences and notes.

    Raises:
        DataError: Less than ten are worth keeping, or more than half.
    """
    if not 10 <= worth <= messages // 2:
        raise DataError(f"expected 10 to {messages // 2} messages worth keeping of {messages}, found {worth}")
    draws = random.Random(f"{seed}/day/{half}")
    told = _told(_split(worth, SHARES), seed, half, draws)
    originals = [Message(_fact(f"m{i:04d}", t), t.kind) for i, t in enumerate(told)]
    return _day(originals, [t.others for t in told], messages, seed, half, draws)


def day_of_facts(facts: Sequence[Fact], messages: int, seed: int, half: Half = "test") -> tuple[Message, ...]:
    """A day on which the facts of a suite are told, among repetitions of them, common knowledge and small talk.

    Args:
        facts: What is worth keeping, with their statements; a repetition tells one of these.
        messages: All messages of the day, the facts among them.
        seed: Of the day.
        half: Whose sentences.
    """
    originals = [Message(fact, "pinned" if fact.pin else "rewarded" if fact.reward else "event") for fact in facts]
    others = [tuple(statement for statement in fact.statements if statement != fact.text) for fact in facts]
    return _day(originals, others, messages, seed, half, random.Random(f"{seed}/day of facts/{half}"))


def _day(
    originals: Sequence[Message],
    others: Sequence[tuple[str, ...]],
    messages: int,
    seed: int,
    half: Half,
    draws: random.Random,
) -> tuple[Message, ...]:
    """What is worth keeping, and what is not, in their order; ``others`` are other words for each of the former."""
    noise = _split(messages - len(originals), NOISE)
    day: list[tuple[float, Message]] = [(draws.random(), message) for message in originals]
    repeatable = [i for i, wordings in enumerate(others) if wordings]
    for number in range(noise["duplicate"] + noise["paraphrase"]):
        kind: Kind = "duplicate" if number < noise["duplicate"] else "paraphrase"
        which = draws.choice(repeatable)
        at, first = day[which]
        text = first.fact.text if kind == "duplicate" else draws.choice(others[which])
        message = Message(Fact(id=f"{kind}-{number:04d}", text=text), kind, first.fact.id)
        day.append((at + (1 - at) * draws.random(), message))
    for kind, text in _small_talk(noise, seed, half, draws):
        day.append((draws.random(), Message(Fact(id=f"{kind}-{len(day):04d}", text=text), kind)))
    return tuple(message for _, message in sorted(day, key=lambda pair: (pair[0], pair[1].repeats != "")))


def _split(total: int, shares: dict[Kind, float]) -> dict[Kind, int]:
    """Whole numbers that sum to ``total``; what rounding leaves goes to the last kind."""
    counts = {kind: int(total * share + 1e-9) for kind, share in shares.items()}
    counts[list(shares)[-1]] += total - sum(counts.values())
    return counts


def _fact(identity: str, told: _Told) -> Fact:
    return Fact(id=identity, text=told.text, reward=told.reward, pin=told.pin)


def _told(counts: dict[Kind, int], seed: int, half: Half, draws: random.Random) -> list[_Told]:
    """Everything worth keeping."""
    facts = build_episodic(counts["event"], seed, "easy").taught
    told = [_Told(fact.text, "event", tuple(s for s in fact.statements if s != fact.text)) for fact in facts]
    deck = Deck(_notes(half), f"{seed}/notes")
    for _ in range(counts["note"]):
        first, *others = _filled(deck.draw(), draws)
        told.append(_Told(first, "note", tuple(others)))
    ordinary = Deck((*_sentences("chat.txt", half), *_sentences("known.txt", half)), f"{seed}/ordinary")
    told += [_Told(ordinary.draw(), "pinned", (), pin=True) for _ in range(counts["pinned"])]
    told += [_Told(ordinary.draw(), "rewarded", (), reward=True) for _ in range(counts["rewarded"])]
    return draws.sample(told, len(told))


def _filled(wordings: Sequence[str], draws: random.Random) -> list[str]:
    words = vocabulary()
    slots = {
        "person": f"{draws.choice(words['first'])} {draws.choice(words['last'])}",
        "thing": draws.choice(words["thing"]),
        "place": draws.choice(words["place"]),
        "day": draws.choice(words["day"]),
        "number": str(draws.randint(1000, 9999)),
    }
    return [wording.format_map(slots) for wording in wordings]


def _small_talk(noise: dict[Kind, int], seed: int, half: Half, draws: random.Random) -> list[tuple[Kind, str]]:
    """Common knowledge, some of it within a frame, and chat, every second message of two sentences."""
    known, chat = (Deck(_sentences(name, half), f"{seed}/{name}") for name in ("known.txt", "chat.txt"))
    found: list[tuple[Kind, str]] = []
    for _ in range(noise["known"]):
        found.append(("known", draws.choice(FRAMES).format(known.draw())))
    for number in range(noise["chat"]):
        found.append(("chat", " ".join(chat.draw() for _ in range(1 + number % 2))))
    return found


def _in_half(text: str, half: Half) -> bool:
    return (hashlib.sha256(f"message/{text}".encode()).digest()[0] % 2 == 0) == (half == "dev")


@cache
def _sentences(name: str, half: Half) -> tuple[str, ...]:
    lines = shipped_bytes(DATA / "gate" / name).decode("utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#") and _in_half(line, half))


@cache
def _notes(half: Half) -> tuple[tuple[str, ...], ...]:
    """Wordings of every note."""
    notes = yaml.safe_load(shipped_bytes(DATA / "gate" / "notes.yaml"))
    return tuple(tuple(wordings) for wordings in notes if _in_half(wordings[0], half))
