"""Frozen suites: generated once from a fixed seed, and known by a digest that is checked before anybody is scored.

    suite = load_frozen("v1")         # 50 facts, their questions and every control
    part = load_frozen("v1", 4)       # its first four facts: for a trial, comparable with nothing

The digest covers every text of the examination: facts, questions of all splits, untaught and near-miss controls, the
sanity panels and the drift texts. A generator that changes makes another suite, which needs a name of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache

from pipeline.config.hashing import canonical_json
from pipeline.errors import ConfigError, DataError
from pipeline.suites.drift_text import DRIFT_DOMAINS, DRIFT_SHA256, load_drift
from pipeline.suites.episodic import build_episodic
from pipeline.suites.sanity import SANITY_SHA256, load_sanity
from pipeline.suites.types import Suite


@dataclass(frozen=True)
class Frozen:
    """What makes a frozen suite.

    Attributes:
        facts: Taught events of the episodic generator, its default profile.
        seed: Of every draw; no setting of the product was chosen on it.
        sha256: What `suite_digest` gave when the suite was frozen.
    """

    facts: int
    seed: int
    sha256: str


FROZEN: Mapping[str, Frozen] = {
    "v1": Frozen(facts=50, seed=20261127, sha256="fa7b548570f61c8ec46310f8eac77b8edafc8c87597bf64eab9b25ce496d29cd"),
}
"""Every frozen suite by name; one that stands here is never changed."""


def frozen(name: str) -> Frozen:
    """What makes the suite of that name.

    Raises:
        ConfigError: There is none.
    """
    if name not in FROZEN:
        raise ConfigError(f"unknown frozen suite {name!r}; there are: {', '.join(FROZEN)}")
    return FROZEN[name]


def suite_digest(suite: Suite) -> str:
    """SHA-256 over every text of the examination, 64 hex digits; statistics and notes are computed from them."""
    texts = {
        "taught": [asdict(fact) for fact in suite.taught],
        "distractors": [fact.text for fact in suite.distractors],
        "untaught": [asdict(question) for question in suite.untaught],
        "near_miss": [asdict(question) for question in suite.near_miss],
        "sanity": SANITY_SHA256,
        "drift": DRIFT_SHA256,
    }
    return hashlib.sha256(canonical_json(texts)).hexdigest()


@lru_cache(maxsize=4)
def load_frozen(name: str, facts: int | None = None) -> Suite:
    """Generate a frozen suite, and check that it is the one that was frozen.

    Args:
        name: A key of `FROZEN`.
        facts: Only its first so many facts and what belongs to them, after the check of the whole; None is all.

    Raises:
        ConfigError: No such suite, or it has fewer facts.
        DataError: A digest differs: this version of the package makes another suite.
    """
    known = frozen(name)
    if facts is not None and facts > known.facts:
        raise ConfigError(f"facts={facts}: suite {name} has {known.facts} facts")
    load_sanity()  # both check their files against their own digests
    for domain in DRIFT_DOMAINS:
        load_drift(domain)
    suite = build_episodic(known.facts, known.seed)
    if (found := suite_digest(suite)) != known.sha256:
        raise DataError(
            f"suite {name}: SHA-256 is {found}, expected {known.sha256}; its generator or word lists differ from those "
            "that it was frozen with, and its figures would compare with nobody's: install the package again"
        )
    return suite if facts is None else build_episodic(facts, known.seed)
