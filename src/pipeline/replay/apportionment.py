"""Shares out a number of items over kinds by the method of largest remainders (Hamilton), within capacities."""

from __future__ import annotations

from collections.abc import Mapping


def apportion(total: int, mix: Mapping[str, float], capacity: Mapping[str, int]) -> dict[str, int]:
    """Items per kind.

    Args:
        total: Items to share out.
        mix: Share of each kind, not negative; they need not sum to one. A kind with share 0 gets nothing.
        capacity: Items that each kind has.

    Returns:
        A number for each kind of ``capacity``, at most its capacity; they sum to ``total``, or to what kinds with a
        positive share have. What a full kind cannot take goes to the others by the same rule. Ties go by name.
    """
    given = dict.fromkeys(capacity, 0)
    left = total
    while left > 0:
        open_kinds = sorted(kind for kind in capacity if mix.get(kind, 0.0) > 0 and given[kind] < capacity[kind])
        if not open_kinds:
            break
        for kind, count in _largest_remainders(left, {kind: mix[kind] for kind in open_kinds}).items():
            given[kind] += min(count, capacity[kind] - given[kind])
        left = total - sum(given.values())
    return given


def _largest_remainders(total: int, mix: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers that sum to ``total`` and follow ``mix``."""
    whole = sum(mix.values())
    quota = {kind: total * share / whole for kind, share in mix.items()}
    given = {kind: int(value) for kind, value in quota.items()}
    by_remainder = sorted(mix, key=lambda kind: (given[kind] - quota[kind], kind))
    for kind in by_remainder[: total - sum(given.values())]:
        given[kind] += 1
    return given
