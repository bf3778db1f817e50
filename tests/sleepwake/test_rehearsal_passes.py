"""Batches of several lengths in few passes: the same log-probabilities, the least padding."""

import itertools

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.sleepwake import SleepWakeModelConfig
from pipeline.sleepwake.model import SleepWakeModel
from pipeline.sleepwake.recall import recalled, replies
from pipeline.sleepwake.rehearsal import cuts_of, labelled, log_shares, shares_together, with_truth


def model() -> SleepWakeModel:
    return SleepWakeModel(SleepWakeModelConfig(width=32, layers=2, heads=2, hidden=64, window=8, memory_block=1), 3)


def computed(lengths: npt.NDArray[np.int64], cuts: list[int]) -> int:
    """Bytes of all passes, padding included."""
    bounds = zip([0, *cuts], cuts, strict=False)
    return sum(most * int(((lengths > least) & (lengths <= most)).sum()) for least, most in bounds)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=30))
def test_the_cuts_compute_least(lengths: list[int]) -> None:
    rows = np.array(lengths)
    cuts = cuts_of(rows)
    others = itertools.combinations_with_replacement(range(1, 13), 2)
    assert cuts == sorted(set(cuts)) and len(cuts) <= 3 and cuts[-1] == rows.max()
    assert computed(rows, cuts) == min(computed(rows, sorted({*pair, int(rows.max())})) for pair in others)


def test_passes_of_like_length_say_what_one_pass_a_batch_says() -> None:
    generator = torch.Generator().manual_seed(1)
    sizes = [torch.tensor([3, 9, 3, 20]), torch.tensor([5, 5]), torch.tensor([20])]
    parts = [torch.randint(256, (len(rows), int(rows.max())), generator=generator) for rows in sizes]
    student = model()
    for part, rows, found in zip(parts, sizes, shares_together(student, parts, sizes), strict=True):
        expected = log_shares(student, part)
        assert found.shape == expected.shape
        for row, size in enumerate(rows.tolist()):
            torch.testing.assert_close(found[row, :size], expected[row, :size])


def test_answers_judged_in_one_pass_are_those_that_continuations_give() -> None:
    student = model()
    questions = [bytes(row) for row in np.random.default_rng(2).integers(256, size=(12, 5), dtype=np.uint8)]
    lengths = [1 + number % 4 for number in range(12)]
    given = [reply.text for reply in replies(student, questions, lengths)]
    asked = [text if number % 3 else text[:-1] + bytes([text[-1] ^ 1]) for number, text in enumerate(given)]
    assert recalled(student, questions, asked) == [bool(number % 3) for number in range(12)]


def test_true_bytes_share_in_labels() -> None:
    rows = labelled(model(), torch.randint(256, (3, 7), generator=torch.Generator().manual_seed(2)))
    mixed = with_truth(rows, 0.25)
    torch.testing.assert_close(mixed.soft.exp().sum(-1), torch.ones(3, 7))
    true = rows.values[..., None]
    torch.testing.assert_close(mixed.soft.exp().gather(-1, true), 0.75 * rows.soft.exp().gather(-1, true) + 0.25)
    assert with_truth(rows, 0.0) is rows
