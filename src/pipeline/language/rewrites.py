"""Other ways to ask a user's question, by rules alone: a user's fact often brings one phrasing, training wants many.

Nothing here invents content. A rewrite puts words around the question, moves its auxiliary, or blanks the answer in the
fact's own text; a pattern that does not match for certain is left out, so that no rewrite changes what is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.evaluation.prompts import holds
from pipeline.evaluation.scoring import normalise

BEFORE = (
    "Question: {q}",
    "Q: {q}",
    "Q: {q}\nA:",
    "Quick question: {q}",
    "Please answer briefly: {q}",
    "Answer in a few words: {q}",
    "Somebody asked me this: {q}",
    "Here is one for you: {q}",
    "Next on my list: {q}",
    "To be answered in one line: {q}",
    "Without explanation: {q}",
    "Think back, then reply: {q}",
    "Exercise 7. {q}",
    "A customer writes: {q}",
    "From the quiz: {q}",
)
"""Fit any text: questions, requests, clozes."""
BEFORE_QUESTION = (
    "Tell me: {q}",
    "Can you tell me: {q}",
    "Do you remember: {q}",
    "Remind me: {q}",
    "I keep asking myself: {q}",
    "Help me out here. {q}",
    "I have just one thing to ask. {q}",
)
AFTER = (
    "{q} Answer in a few words.",
    "{q} A short answer is enough.",
    "{q} Just the answer, please.",
    "{q} Only the answer counts.",
    "{q} No full sentence is needed.",
    "{q} That is all I want to know.",
    "{q} (short answer)",
    "{q} Thanks!",
)
"""Fit a text that ends like a sentence."""
WOVEN = (
    "I was wondering, {l}",
    "By the way, {l}",
    "Sorry to bother you, but {l}",
    "If I may ask, {l}",
    "For the record, {l}",
    "Just out of curiosity, {l}",
    "Before I forget, {l}",
    "Okay, so {l}",
)
"""Fit a question whose first letter may become small."""
INDIRECT = (
    "Do you remember {i}?",
    "I would like to know {i}.",
    "Please say {i}.",
    "The question is {i}.",
    "Could you remind me {i}?",
    "I forgot {i}. Can you help?",
    "My friend wants to know {i}. What is the answer?",
    "It would help me to hear {i}.",
)
"""Fit an indirect question such as "where Mona Hale bought the lantern"."""
ASIDES = ("please", "if you remember", "as far as you know", "then")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_IRREGULAR = _words(
    """
    become became begin began break broke bring brought build built buy bought catch caught choose chose come came
    cut cut draw drew drink drank drive drove drop dropped eat ate fall fell feed fed feel felt fight fought find
    found fly flew forget forgot get got give gave go went grow grew hear heard hide hid hit hit hold held keep kept
    know knew label labelled lead led leave left lend lent lose lost make made meet met pay paid plan planned put
    put read read ride rode ring rang run ran say said see saw sell sold send sent sing sang sit sat sleep slept
    speak spoke spend spent stand stood steal stole stop stopped swim swam take took teach taught tell told think
    thought throw threw travel travelled wear wore win won wrap wrapped write wrote
    """
)
_REGULAR = _words(
    """
    accept add adopt arrive ask bake book borrow call carry change clean climb collect complete cook create deliver
    demolish design direct discover display donate earn enter explore finish found hand happen help hire inspect
    invent invite join launch learn live locate marry measure miss move name notice open order organise organize
    paint park photograph place plant play present prove publish receive record release rent repair replace return
    reveal save score sign sketch start stay store study talk test turn unpack use visit wait walk wash watch weigh
    work
    """
)


def _regular_past(base: str) -> str:
    if base.endswith("e"):
        return base + "d"
    return base[:-1] + "ied" if re.search(r"[^aeiou]y$", base) else base + "ed"


PAST = dict(zip(_IRREGULAR[::2], _IRREGULAR[1::2], strict=True)) | {base: _regular_past(base) for base in _REGULAR}
"""Simple past of the verbs that a rewrite may inflect."""
_BASE = {past: base for base, past in PAST.items()}

_WH = "where|when|what|who|whom|whose|which|why|how"
_PREPOSITIONS = "about|at|by|for|from|in|into|of|off|on|onto|out|over|through|to|under|up|with"
_BE = "is|are|was|were"
_MODALS = "has|have|had|will|would|can|could|should|must"
_SMALL = frozenset(f"{_WH}|{_PREPOSITIONS}|{_BE}|has|have|had|could|would|should|did|does|do|the|a|an".split("|"))
_MOTION = frozenset(
    _words("arrive bring carry come drive fly get go lead move return ride run send take throw travel walk")
)
_INVERTED = re.compile(
    rf"(?P<wh>(?:(?:{_PREPOSITIONS}) )?(?:{_WH})(?: [\w'’-]+){{0,3}}?) (?P<aux>did|{_BE}|{_MODALS}) (?P<rest>.+)\?",
    re.IGNORECASE,
)
_DIRECT = re.compile(rf"(?P<wh>{_WH}) (?P<rest>(?:did|does|do|{_BE}|{_MODALS}) .+)", re.IGNORECASE)
_EXTENDS_SUBJECT = re.compile(r"[^ ]| (?:and|or|of|who|whose|that|which|\()\b", re.IGNORECASE)
_STRANDED = re.compile(rf"\b(?:{_PREPOSITIONS})$", re.IGNORECASE)

_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = (
    r"(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
    rf"|\d{{1,2}} (?:{_MONTH})(?: \d{{4}})?|(?:{_MONTH}) \d{{1,2}}(?:, \d{{4}})?)"
)
_NO_NOUN = (  # words that end a noun phrase, or make what follows "at the" a time
    rf"(?:{_PREPOSITIONS}|and|or|that|which|who|while|when|after|before|near|inside|because|a|an|the|his|her|their|again|"
    "alone|away|back|early|here|home|last|late|next|now|once|there|this|today|together|tomorrow|twice|yesterday|"
    r"afternoon|beginning|dawn|end|evening|moment|morning|night|start|time|weekend|\w+ly)\b"
)
_NOUN = rf"(?:(?!{_NO_NOUN})[a-z][a-z'’-]*)(?: (?!{_NO_NOUN})[a-z][a-z'’-]*)?(?<!ing)(?<!ed)"
_TWO_OBJECTS = frozenset(
    _words(
        """
    ask bring buy choose cook earn find get give hand leave lend make order pay read save sell send sing take teach
    tell throw write
    """
    )
)


def _small(question: str, subject: str) -> str | None:
    """The question with a small first letter, or None when its first word may be a name."""
    first = question.split(" ", 1)[0]
    if first.lower() not in _SMALL or (subject and question.startswith(subject)):
        return None
    return question[0].lower() + question[1:]


def indirect_question(question: str, subject: str) -> str | None:
    """Turn "Where did X buy it?" into "where X bought it"; None when the order of words is not certain."""
    doer = re.fullmatch(r"[Ww]ho ([a-z]+) [^.?!]+\?", question)
    if doer is not None and doer[1] in _BASE:
        return f"w{question[1:-1]}"
    found = _INVERTED.fullmatch(question)
    if not subject or found is None or not found["rest"].startswith(subject):
        return None
    tail = found["rest"][len(subject) :]
    if _EXTENDS_SUBJECT.match(tail) or re.search(r"[.?!]\s", tail):
        return None
    wh, verb = found["wh"][0].lower() + found["wh"][1:], found["aux"].lower()
    if verb == "did":
        base, _, after = tail.strip().partition(" ")
        if base not in PAST:
            return None
        return f"{wh} {subject} {PAST[base]} {after}".rstrip()
    return f"{wh} {subject} {verb}{tail}"


def _moved(question: str, subject: str) -> Iterator[str]:
    """Rewrites that change the order of words."""
    direct = _DIRECT.fullmatch(question)
    if direct is not None:
        for aside in ASIDES:
            yield f"{direct['wh']}, {aside}, {direct['rest']}"
    indirect = indirect_question(question, subject)
    if indirect is None:
        return
    for frame in INDIRECT:
        yield frame.format(i=indirect)
    wh, _, clause = indirect.partition(" ")
    found = re.fullmatch(rf"{re.escape(subject)} (\w+) \S.*", clause)
    if found is None or wh not in ("where", "when") or found[1] not in _BASE or _STRANDED.search(clause):
        return
    yield f"{clause[0].upper()}{clause[1:]}: {wh}?"
    yield f"{clause[0].upper()}{clause[1:]}, but {wh}?"
    if wh == "where" and _BASE[found[1]] not in _MOTION:
        yield "At which place" + question[len(wh) :]


def _candidates(question: str, subject: str) -> list[list[str]]:
    """Every rewrite, by kind."""
    asks, ends = question.endswith("?"), question.endswith(("?", ".", "!")) and not question.endswith("..")
    kinds = [[frame.format(q=question) for frame in BEFORE]]
    if asks:
        kinds.append([frame.format(q=question) for frame in BEFORE_QUESTION])
    if ends:
        kinds.append([frame.format(q=question) for frame in AFTER])
    small = _small(question, subject)
    if asks and small is not None:
        kinds.append([frame.format(l=small) for frame in WOVEN])
    if asks:
        kinds.append(list(_moved(question, subject)))
    return kinds


def rewrite_question(
    question: str,
    subject: str,
    count: int,
    rng: np.random.Generator,
    answer: str = "",
    aliases: Sequence[str] = (),
) -> list[str]:
    """Ask the same in other words.

    Args:
        question: The question, request or cloze as the user wrote it.
        subject: Whom or what it names; it stands in every rewrite as it stands in the question. May be empty.
        count: How many are wanted; fewer come back when fewer are safe.
        rng: Chooses; the same state gives the same rewrites.
        answer: A rewrite that holds it as whole words is dropped; empty for no such check.
        aliases: Other spellings of the answer, treated alike.

    Returns:
        Different rewrites, none of them the question itself, of as many kinds as there are.
    """
    question = question.strip()
    if not question:
        return []
    kinds = [[kind[i] for i in rng.permutation(len(kind))] for kind in _candidates(question, subject) if kind]
    kinds = [kinds[i] for i in rng.permutation(len(kinds))]
    turns = [kind[turn] for turn in range(max(map(len, kinds))) for kind in kinds if turn < len(kind)]
    wrong = [right for right in (answer, *aliases) if right.strip()]
    safe = (text for text in dict.fromkeys(turns) if text != question and not any(holds(text, w) for w in wrong))
    return [text for text, _ in zip(safe, range(count), strict=False)]


def cloze_from_text(text: str, answer: str) -> str | None:
    """The fact's text with its answer blanked; None unless the answer stands there exactly once and words remain."""
    text, answer = text.strip(), answer.strip()
    if not normalise(answer):
        return None
    found = list(re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE))
    if len(found) != 1:
        return None
    rest = f"{text[: found[0].start()]}____{text[found[0].end() :]}"
    if not normalise(rest.replace("____", " ")) or holds(rest, answer):
        return None
    return f"Fill in: {rest}"


def statement_question(text: str, subject: str) -> list[tuple[str, str]]:
    """Questions that a plain sentence answers: "On DATE, SUBJECT VERB a THING at the PLACE.", place or date optional.

    Args:
        text: The fact's text.
        subject: Whom the sentence is about, as it stands there.

    Returns:
        Pairs of question and answer about thing, place and date, each naming all the rest; empty when the sentence is
        not of exactly this kind or its verb is not known.
    """
    pattern = (
        rf"(?:On (?P<first>{_DATE}),? )?{re.escape(subject)} (?P<verb>[a-z]+) (?:an?|the) (?P<thing>{_NOUN})"
        rf"(?: at the (?P<place>{_NOUN}))?(?: on (?P<last>{_DATE}))?\."
    )
    found = re.fullmatch(pattern, text.strip())
    if not subject or found is None or found["verb"] not in _BASE or (found["first"] and found["last"]):
        return []
    base, thing, place, day = _BASE[found["verb"]], found["thing"], found["place"], found["first"] or found["last"]
    if " " in thing and base in _TWO_OBJECTS:
        return []
    where, when = f" at the {place}" if place else "", f" on {day}" if day else ""
    asked = []
    if place or day:
        asked.append((f"What did {subject} {base}{where}{when}?", thing))
    if place:
        asked.append((f"Where did {subject} {base} the {thing}{when}?", place))
    if day:
        asked.append((f"When did {subject} {base} the {thing}{where}?", day))
    return [(question, answer) for question, answer in asked if not holds(question, answer)]
