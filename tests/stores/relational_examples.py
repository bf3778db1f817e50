"""Relations between invented entities, as facts and as judged candidates of a store."""

from __future__ import annotations

import json
from typing import Any

from pipeline.config import GateConfig, StoreConfig
from pipeline.stores import EncoderIdentity, Episodes, GateDecision, episode_of
from pipeline.stores.relational import RelationalStore
from pipeline.suites.types import Fact
from tests.stores.examples import DIMENSION, BagOfWords

CHAIN = (
    ("a", "Ana Voss", "bought at", "Quill Emporium", "Ana Voss bought a lantern at Quill Emporium."),
    ("b", "Quill Emporium", "is in", "Hask Hollow", "Quill Emporium is a store in the city of Hask Hollow."),
    ("c", "Hask Hollow", "is in", "Ostravia", "Hask Hollow is a city in the country of Ostravia."),
)


def edge(name: str, head: str, relation: str, tail: str, text: str = "", **more: Any) -> Fact:
    """A relational fact; keywords are further details, ``reward`` and ``pin`` excepted."""
    flags = {flag: more.pop(flag) for flag in ("reward", "pin") if flag in more}
    details = json.dumps({"head": head, "relation": relation, "tail": tail, **more})
    told = text or f"{head} {relation} {tail}."
    return Fact(name, told, "day-01", subject=head, relation=relation, kind="relational", details=details, **flags)


def chain() -> list[Fact]:
    """Somebody bought something at a store in a city in a country."""
    bought, *others = CHAIN
    return [edge(*bought, about="lantern"), *(edge(*other) for other in others)]


def relational_store(config: StoreConfig | None = None) -> RelationalStore:
    """An empty store over bags of words."""
    identity = EncoderIdentity(BagOfWords.name, BagOfWords.digest, DIMENSION)
    return RelationalStore("day-01", config or StoreConfig(expansion=1024, active=32), identity)


def judged(
    store: RelationalStore, facts: list[Fact], config: GateConfig | None = None
) -> tuple[Episodes, list[GateDecision]]:
    """Facts after the store's gate."""
    rows = [episode_of(fact, source="letters", created=i) for i, fact in enumerate(facts)]
    candidates = store.candidates(rows, BagOfWords().encode([fact.text for fact in facts]))

    def surprise(texts: Any) -> Any:
        raise AssertionError("this gate does not weigh surprise")

    return store.judge(candidates, surprise, config or GateConfig())


def taught(*facts: Fact) -> RelationalStore:
    """A store that took in the facts."""
    store = relational_store()
    store.write(judged(store, list(facts))[0], enforce=False)
    return store


def told(store: RelationalStore, question: str, k: int = 1) -> list[str]:
    """The texts that a question brings."""
    (found,) = store.recollect([question], BagOfWords().encode([question]), k)
    return [memory.text for memory in found]
