"""Data of the flow ``needle``: which task, how long its sequences are, how much they hold, and how many there are.

Keys stand under the names of the document where it has one. A key that the chosen task does not read is refused.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.config.section import Section

NeedleTaskName = Literal["needle", "mqar", "listops"]

_NEEDLES = ("n_pairs", "num_values", "vocab_extra", "n_queries", "overwrites", "distractors")
_READ: dict[NeedleTaskName, tuple[str, ...]] = {
    "needle": (*_NEEDLES, "test_lengths", "test_pairs"),
    "mqar": ("n_pairs", "mqar", "test_lengths", "test_pairs"),
    "listops": ("listops",),
}
"""The keys that each task reads, beside ``task``, ``length`` and the sizes."""


class MqarConfig(Section):
    """Multi-query associative recall as in Zoology (Arora et al. 2023, arXiv:2312.04927)."""

    vocab_size: int = Field(8192, ge=8, le=65_535, description="token ids; keys are the lower half, values the upper")
    power_a: float = Field(
        0.01, gt=0, le=1, description="exponent a of the gaps from pairs to queries, P(gap) ~ gap^(a-1)"
    )
    random_non_queries: bool = Field(True, description="random tokens between queries; false leaves token 0 there")


class ListOpsConfig(Section):
    """ListOps (Nangia & Bowman 2018); defaults are those of the Long Range Arena (Tay et al. 2020)."""

    min_length: int = Field(500, ge=4, description="tokens of an expression at least, brackets included")
    max_length: int = Field(2000, ge=4, le=65_534, description="tokens of an expression at most")
    max_depth: int | None = Field(
        None,
        ge=2,
        le=20,
        description="levels of a tree at most; a single digit has one, [MIN 1 2] has two; null: as few as give "
        "min_length tokens on average, four at least: 4 from 4 tokens on, 10 from 500 on, as the Long Range Arena has",
    )
    max_args: int = Field(10, ge=2, le=100, description="arguments of an operator at most; there are two at least")

    @property
    def depth(self) -> int:
        """Levels of a tree at most."""
        if self.max_depth is not None:
            return self.max_depth
        return next((depth for depth in range(4, 20) if self.mean_tokens(depth) >= self.min_length), 20)

    def mean_tokens(self, depth: int) -> float:
        """Tokens on average of trees of so many levels at most, whatever their length; see `tasks.trees.grown`."""
        arguments, below = (2 + self.max_args) / 2, 1.0  # below: tokens of what stands under the root
        for _ in range(depth - 2):
            below = 3 / 4 + (2 + arguments * below) / 4
        return 2 + arguments * below

    @property
    def largest(self) -> int:
        """Tokens of the largest tree that depth and arguments allow."""
        tokens = 1
        for _ in range(self.depth - 1):
            tokens = 2 + self.max_args * tokens
        return tokens

    @model_validator(mode="after")
    def _some_tree_fits(self) -> Self:
        if self.min_length > self.max_length:
            raise ValueError(f"min_length={self.min_length} is more than max_length={self.max_length}")
        if self.min_length > self.largest:
            raise ValueError(
                f"min_length={self.min_length}: trees of max_depth={self.depth} and max_args={self.max_args} have "
                f"{self.largest} tokens at most"
            )
        return self


class DataConfig(Section):
    """What is learned, and on how many sequences; every split follows from the flow's seed."""

    task: NeedleTaskName = Field(
        "needle",
        description="needle: recall values that stand in noise; mqar: recall as in Zoology; listops: nested operations",
    )
    length: int = Field(256, ge=8, le=65_535, description="tokens of a sequence; of listops the padded length")
    train_size: int = Field(20_000, ge=1, description="sequences to learn from")
    val_size: int = Field(
        2_000, ge=1, description="sequences that decide; the paired test of a drop needs 2000 or more"
    )
    test_size: int = Field(4_000, ge=1, description="sequences that are reported; figures of record need 4000 or more")

    n_pairs: int = Field(4, ge=1, description="needles: pairs of a key and a value under different keys")
    num_values: int = Field(64, ge=2, description="different keys, and as many values; chance is 1/num_values")
    vocab_extra: int = Field(96, ge=1, description="token ids of the noise")
    n_queries: int = Field(1, ge=1, description="keys that are asked, in the last quarter")
    overwrites: int = Field(0, ge=0, description="needles told again with another value; the last one holds")
    distractors: int = Field(0, ge=0, description="needles under keys next to a needle's that are never asked")
    mqar: MqarConfig = Field(MqarConfig(), description="of the task mqar")
    listops: ListOpsConfig = Field(ListOpsConfig(), description="of the task listops")

    test_lengths: tuple[int, ...] = Field((), description="other lengths that are tested without training on them")
    test_pairs: tuple[int, ...] = Field((), description="other numbers of needles that are tested likewise")

    @property
    def blocks(self) -> int:
        """Pairs that a sequence tells, those told again and distractors included."""
        if self.task == "needle":
            return self.n_pairs + self.overwrites + self.distractors
        return self.n_pairs if self.task == "mqar" else 0

    def at(self, **changes: Any) -> Self:
        """The same data with other values of some keys, checked as any configuration is.

        Raises:
            ValueError: The values do not fit together, or a key is unknown.
        """
        return type(self).model_validate(self.model_dump() | {"test_lengths": (), "test_pairs": ()} | changes)

    @model_validator(mode="after")
    def _keys_are_those_of_the_task(self) -> Self:
        fields = type(self).model_fields
        every = {key for keys in _READ.values() for key in keys}
        unread = [key for key in sorted(every - set(_READ[self.task])) if getattr(self, key) != fields[key].default]
        if unread:
            raise ValueError(f"task={self.task} does not read {', '.join(unread)}: leave out what it does not read")
        return self

    @model_validator(mode="after")
    def _a_sequence_holds_it(self) -> Self:
        {"needle": self._check_needle, "mqar": self._check_mqar, "listops": self._check_listops}[self.task]()
        for length in self.test_lengths:
            self.at(length=length)
        for pairs in self.test_pairs:
            self.at(n_pairs=pairs)
        return self

    def _check_needle(self) -> None:
        if self.n_queries > self.n_pairs:
            raise ValueError(f"n_queries={self.n_queries} asks for more keys than n_pairs={self.n_pairs}")
        if self.n_pairs + self.distractors > self.num_values:
            raise ValueError(
                f"n_pairs={self.n_pairs} and distractors={self.distractors} need as many keys, but "
                f"num_values={self.num_values}"
            )
        if -(-self.overwrites // self.n_pairs) >= self.num_values:
            raise ValueError(f"overwrites={self.overwrites}: num_values={self.num_values} are too few different values")
        if 4 * self.blocks > 3 * self.length // 4 or 3 * self.n_queries > self.length - 3 * self.length // 4:
            raise ValueError(
                f"length={self.length} is too short: {self.blocks} pairs take {4 * self.blocks} tokens of its first "
                f"three quarters, {self.n_queries} queries {3 * self.n_queries} of the last"
            )
        if self.vocab_extra + 4 + 2 * self.num_values > 65_535:
            raise ValueError("vocab_extra and num_values: more than 65535 token ids")

    def _check_mqar(self) -> None:
        if self.length % 2 or 4 * self.n_pairs > self.length:
            raise ValueError(f"length={self.length}: expected an even number, 4 n_pairs={4 * self.n_pairs} or more")
        if self.mqar.vocab_size <= self.length:
            raise ValueError(f"mqar.vocab_size={self.mqar.vocab_size}: expected more than length={self.length}")

    def _check_listops(self) -> None:
        if self.length <= self.listops.max_length:
            raise ValueError(
                f"length={self.length}: expressions of up to listops.max_length={self.listops.max_length} tokens and "
                f"the question mark behind them need {self.listops.max_length + 1}"
            )
