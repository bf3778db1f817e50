"""What writing does with each candidate: reuse, refuse, replace an older version, or append."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from pipeline.stores.episode import Episode, refuse_ambiguous_ids
from pipeline.stores.records import Records

Identity = tuple[str, str]  # session, id


@dataclass(frozen=True)
class Fates:
    """What becomes of n candidates.

    Attributes:
        taken: Numbers of those to append.
        leaving: Rows of the store that a new version replaces.
        version: Of every candidate, shape (n,).
        told: Ids by what becomes of them: written, reused, replaced, refused.
    """

    taken: list[int]
    leaving: set[int]
    version: NDArray[Any]
    told: dict[str, list[str]]


def fates_of(
    new: Records[Episode],
    old: Records[Episode],
    numbers: Callable[[Collection[Identity]], Mapping[Identity, int]],
    enforce: bool,
) -> Fates:
    """Decide about candidates in their order.

    Args:
        new: Judged candidates.
        old: Rows of the store.
        numbers: Rows of the store by identity, of those that are there.
        enforce: Whether the gate may refuse.

    Raises:
        StoreError: One id stands for different content, or for episodes of two sessions.
    """
    identities = list(zip(new.column("session").tolist(), new.column("episode_id").tolist(), strict=True))
    position = numbers(identities)
    refuse_ambiguous_ids(old.take(old.where("episode_id", {name for _, name in identities})), new)
    digests, accepted = new.column("digest").tolist(), new.column("accepted").tolist()
    version = new.column("version").copy()
    taken: list[int] = []
    leaving: set[int] = set()
    told: dict[str, list[str]] = {"written": [], "reused": [], "replaced": [], "refused": []}
    seen: set[Identity] = set()
    for i, identity in enumerate(identities):
        at = position.get(identity)
        known = None if at is None else old[at]
        if identity in seen or (known is not None and known.digest == digests[i]):
            told["reused"].append(identity[1])
        elif enforce and not accepted[i]:
            told["refused"].append(identity[1])
        else:
            if at is not None and known is not None:
                leaving.add(at)
                version[i] = known.version + 1
            told["written" if known is None else "replaced"].append(identity[1])
            taken.append(i)
        seen.add(identity)
    return Fates(taken, leaving, version, told)
