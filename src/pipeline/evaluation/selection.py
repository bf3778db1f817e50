"""Fixed subsets: the same items on every machine, in every run, whatever the order of the list.

An item is in the subset because of a hash of its name, so that nobody can pick it and no seed can move it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def hash_rank(name: str, salt: str = "engram") -> int:
    """A 64-bit number from the SHA-256 of ``salt`` and ``name``: the order in which items are picked."""
    return int.from_bytes(hashlib.sha256(f"{salt}\x00{name}".encode()).digest()[:8], "big")


def fixed_subset(items: Iterable[T], n: int | None, name: Callable[[T], str], salt: str = "engram") -> list[T]:
    """The ``n`` items of lowest hash, in the order given (all of them when ``n`` is None)."""
    everything = list(items)
    if n is None or n >= len(everything):
        return everything
    ranked = sorted(range(len(everything)), key=lambda i: (hash_rank(name(everything[i]), salt), name(everything[i])))
    return [everything[i] for i in sorted(ranked[:n])]


def stratified_subset(
    items: Iterable[T], n: int | None, name: Callable[[T], str], stratum: Callable[[T], Hashable], salt: str = "engram"
) -> list[T]:
    """A fixed subset in which every stratum keeps its share, to within one item (largest remainders)."""
    everything = list(items)
    if n is None or n >= len(everything):
        return everything
    strata: dict[Hashable, list[T]] = defaultdict(list)
    for item in everything:
        strata[stratum(item)].append(item)
    shares = {key: n * len(members) / len(everything) for key, members in strata.items()}
    sizes = {key: int(share) for key, share in shares.items()}
    by_remainder = sorted(shares, key=lambda key: (sizes[key] - shares[key], hash_rank(str(key), salt)))
    for key in by_remainder[: n - sum(sizes.values())]:
        sizes[key] += 1
    kept = {name(item) for key, members in strata.items() for item in fixed_subset(members, sizes[key], name, salt)}
    return [item for item in everything if name(item) in kept]


def one_of(items: Sequence[T], name: str, salt: str = "engram") -> T:
    """The item that the hash of ``name`` points to."""
    return items[hash_rank(name, salt) % len(items)]
