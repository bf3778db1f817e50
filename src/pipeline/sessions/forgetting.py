"""Forget one item of a session: out of every file at once, and out of the weights in the next night.

    told = forget("day-01", "f1", root)

The order makes a crash harmless: first the pending file says what is to go, then the newest generation lets go of it,
then everything else is rewritten, and last the pending file keeps only what the next night needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.artifacts import Generation, GenerationStore
from pipeline.artifacts.redaction import Redaction
from pipeline.config import StoreConfig, check_name
from pipeline.errors import StoreError
from pipeline.evaluation.prompts import holds, leaked_answer
from pipeline.evaluation.scoring import normalise
from pipeline.language.contrast import replace_part, subject_parts
from pipeline.sessions.traces import Erased, erase_everywhere, refuse_running, runs_of_session, traces
from pipeline.stages.memory import facts_of_generation, publish_store, session_facts, written_kinds
from pipeline.stages.pending import Forgotten, pending_lock, pending_path, read_pending, write_pending
from pipeline.stages.recalls import forget_recalls
from pipeline.stores.episode import EPISODE_SCHEMA, Episode, forms_of
from pipeline.stores.episodic import EpisodicStore
from pipeline.stores.outcomes import EncoderIdentity
from pipeline.stores.persistence import load
from pipeline.suites.sanity import load_sanity
from pipeline.suites.types import Fact, Question

NEIGHBOURS = 50  # kept, the most alike first; a night looks at as many as its settings say
GENERIC = frozenset({"fact", "document", ""})  # relations that make no two facts alike
SHORTEST = 3  # letters of an answer that is worth blanking wherever it stands
BLANKED = "___"


@dataclass(frozen=True)
class Outcome:
    """What forgetting did.

    Attributes:
        id: Of the item.
        erased: What was rewritten.
        source: Where the item came from; the user's own file is not touched.
        pending: The file that the next night reads.
        repeated: Whether an earlier command had begun it.
        left: Files that still tell of the item, if something wrote meanwhile.
    """

    id: str
    erased: Erased
    source: str
    pending: Path
    repeated: bool
    left: tuple[Path, ...] = ()


def forget(session: str, item: str, root: Path) -> Outcome:
    """Take an item out of a session, idempotently; a killed attempt is finished by the next one.

    Raises:
        StoreError: The session has no such item, or a night of it is running.
        ConfigError: The session's name cannot be part of a path.
        ServiceError: MLflow cannot be reached; what is done stays done.
    """
    check_name(session, "session")
    if not pending_path(root, session).parent.is_dir():
        raise StoreError(f"session {session!r} has no memory, so there is no {item!r} to forget")
    with pending_lock(root, session):
        refuse_running(run for run, _ in runs_of_session(root, session))
        pending = list(read_pending(root, session))
        known = next((entry for entry in pending if entry.id == item), None)
        kinds = written_kinds(root, session)
        found = next((kind for kind in kinds if _row(_store(root, session, kind), item) is not None), None)
        if found is None and known is None:
            raise _unknown(root, session, item, kinds)
        source = ""
        if found is not None:
            known, source = _begin(root, session, item, found, kinds)
            pending = [*(entry for entry in pending if entry.id != item), known]
            write_pending(root, session, pending)
            _leave_newest(root, session, item, found)
        forget_recalls(root, session, item)
        assert known is not None
        repeated = found is None
        if known.erasing is None:
            return Outcome(item, Erased(), source, pending_path(root, session), repeated)
        rules = Redaction(item, tuple(known.erasing["phrases"]), tuple(known.erasing["words"]))
        erased = erase_everywhere(root, session, rules, known.erasing["text"][0])
        left = traces(root, session, rules)
        if not left:
            settled = replace(known, erasing=None)
            write_pending(root, session, [settled if entry.id == item else entry for entry in pending])
        return Outcome(item, erased, source, pending_path(root, session), repeated, tuple(left))


def _unknown(root: Path, session: str, item: str, kinds: Sequence[str]) -> StoreError:
    ids = [row.episode_id for kind in kinds for row in _store(root, session, kind).episodes.rows]
    shown = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "") if ids else "nothing"
    return StoreError(f"session {session!r} holds no {item!r}; it holds {shown}")


def _store(root: Path, session: str, kind: str) -> EpisodicStore:
    """A session's store as it lies, whoever made its keys: nothing is encoded here."""
    generations = GenerationStore.of(root, session, kind)
    newest = generations.current()
    assert newest is not None
    code = newest.metadata["code"]
    config = StoreConfig(expansion=code["expansion"], active=code["active"], projection_seed=code["projection_seed"])
    return load(generations, session, config, EncoderIdentity(**newest.metadata["encoder"]), kind)


def _row(store: EpisodicStore, item: str) -> Episode | None:
    return next((row for row in store.episodes.rows if row.episode_id == item), None)


def _begin(root: Path, session: str, item: str, kind: str, kinds: Sequence[str]) -> tuple[Forgotten, str]:
    """What has to be known to erase the item and to unlearn it, and where it came from."""
    store = _store(root, session, kind)
    row = _row(store, item)
    assert row is not None
    facts = {f.id: f for name in kinds for f in session_facts(GenerationStore.of(root, session, name))}
    staying = [f for f in facts.values() if f.id != item]
    others = [row.text for name in kinds for row in _store(root, session, name).episodes.rows if row.episode_id != item]
    older = _versions(root, session, kind, item)
    fact = facts.get(item) or older[-1]
    questions = tuple(q for q in fact.questions if leaked_answer(q, q.question) is None)
    told = " ".join([*others, *(q.answer for f in staying for q in f.questions)])
    item_of_night = Forgotten(
        id=item,
        session=row.session,
        relation=row.relation,
        questions=questions,
        reversed=_reversed(fact),
        neighbours=_neighbours(store, row, [f.id for f in staying]),
        erasing={
            "text": [row.text],
            "phrases": sorted({text for version in (fact, *older) for text in _phrases(version)}),
            "words": sorted({word for version in (fact, *older) for word in _words(version, told)}),
        },
    )
    return item_of_night, row.source


def _versions(root: Path, session: str, kind: str, item: str) -> list[Fact]:
    """The item as the generations that still lie on disk have it, the oldest first; a replaced text is one too."""
    generations = GenerationStore.of(root, session, kind)
    numbers = sorted(int(path.parent.name[4:]) for path in generations.folder.glob("gen-*/manifest.json"))
    found: list[Fact] = []
    for number in numbers:
        for fact in _told_by(generations.generation(number, verify=False)):
            if fact.id == item and fact not in found:
                found.append(fact)
    return found


def _told_by(generation: Generation) -> list[Fact]:
    """Facts of a generation; of an older one without its facts, what its episodes say."""
    facts = list(facts_of_generation(generation))
    known = {fact.id for fact in facts}
    for row in generation.table("episodes", EPISODE_SCHEMA).to_pylist():
        if row["episode_id"] not in known:
            forms = forms_of(row["forms"], row["episode_id"])
            facts.append(
                Fact(
                    row["episode_id"],
                    row["text"],
                    row["session"],
                    row["subject"],
                    row["relation"],
                    statements=forms.statements,
                    questions=forms.questions,
                )
            )
    return facts


def _phrases(fact: Fact) -> list[str]:
    return [text for text in (fact.text, *fact.statements, *(q.question for q in fact.questions)) if text.strip()]


def _words(fact: Fact, told: str) -> Iterable[str]:
    """Names and answers that no fact which stays tells, and no general question asks."""
    general = " ".join(f"{item.question} {item.answer}" for item in load_sanity())
    named = [fact.subject, *(right for q in fact.questions for right in (q.answer, *q.aliases))]
    for word in dict.fromkeys(named):
        if len(normalise(word)) >= SHORTEST and not holds(told, word) and not holds(general, word):
            yield word


def _reversed(fact: Fact) -> tuple[Question, ...]:
    """What was told with its subject blanked: whom was it about?"""
    if not fact.subject:
        return ()
    found = []
    for number, text in enumerate(dict.fromkeys((fact.text, *fact.statements))):
        blanked = replace_part(text, fact.subject, BLANKED)
        if blanked is None or holds(blanked, fact.subject):
            continue
        last = subject_parts(fact.subject)
        if last is not None and any(holds(blanked, part) for part in last):
            continue
        asked = f"Who or what belongs in the blank? {blanked}"
        found.append(Question(fact.id, fact.relation, f"reversed-{number}", "test", asked, fact.subject))
    return tuple(found)


def _neighbours(store: EpisodicStore, row: Episode, staying: Sequence[str]) -> tuple[str, ...]:
    """Ids of facts that stay and are most alike: of the same relation first, then by the cosine of their keys."""
    keys = store.episodes.keys
    own = next(i for i, other in enumerate(store.episodes.rows) if other.episode_id == row.episode_id)
    cosines = keys @ keys[own]
    same = row.relation not in GENERIC
    ranked = sorted(
        (not (same and other.relation == row.relation), -float(np.round(cosines[i], 6)), other.episode_id)
        for i, other in enumerate(store.episodes.rows)
        if other.episode_id in staying and other.consolidate
    )
    return tuple(name for _, _, name in ranked[:NEIGHBOURS])


def _leave_newest(root: Path, session: str, item: str, kind: str) -> None:
    """Publish a generation without the item: from here on nobody finds it, whatever becomes of older files."""
    generations = GenerationStore.of(root, session, kind)
    with generations.writing():
        store = _store(root, session, kind)
        row = _row(store, item)
        if row is not None:
            store.forget(row.session, item)
            publish_store(store, generations, session_facts(generations))
