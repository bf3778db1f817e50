"""Fixed subsets do not depend on order, and keep every stratum's share."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.selection import fixed_subset, hash_rank, one_of, stratified_subset

NAMES = st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=40)


def test_the_hash_is_pinned() -> None:
    """A changed hash would silently change every default figure."""
    assert hash_rank("e0", "items") == 0xA41233FFFCEFF438


@given(NAMES, st.integers(0, 50), st.randoms(use_true_random=False))
def test_subset_ignores_order(names: list[str], n: int, shuffler: object) -> None:
    shuffled = names.copy()
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    assert set(fixed_subset(names, n, str)) == set(fixed_subset(shuffled, n, str))
    assert len(fixed_subset(names, n, str)) == min(n, len(names))


@given(NAMES)
def test_subsets_are_nested_and_keep_the_order_given(names: list[str]) -> None:
    small, large = fixed_subset(names, 3, str), fixed_subset(names, 7, str)
    assert set(small) <= set(large)
    assert large == [name for name in names if name in set(large)]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.integers(0, 60))
def test_every_stratum_keeps_its_share(strata: list[str], n: int) -> None:
    items = [(f"{stratum}{i}", stratum) for i, stratum in enumerate(strata)]
    chosen = stratified_subset(items, n, lambda item: item[0], lambda item: item[1])
    assert len(chosen) == min(n, len(items))
    if n < len(items):
        sizes, drawn = Counter(strata), Counter(stratum for _, stratum in chosen)
        assert all(abs(drawn[s] - n * size / len(items)) < 1 for s, size in sizes.items())


def test_one_of_is_spread_over_the_choices() -> None:
    assert set(one_of("abc", f"item-{i}") for i in range(60)) == set("abc")
