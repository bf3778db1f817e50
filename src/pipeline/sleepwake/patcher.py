"""Patches of bytes: a new one begins where the next byte is hard to foresee.

found = entropies(model, values)                                  (B, L) nats, that of x_t from what stands before it
threshold = fit_threshold(found, config)                          on held-out text
begins = patch_starts(entropies(model, other), threshold, config)

Whether a patch begins at t depends on x_0 … x_{t-1} of the same sequence alone. Pagnoni et al. 2024, arXiv:2412.09871,
section 2.3; their threshold of 1.335 nats and mean of 4.5 bytes are those of a model of 100 M parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.config.sleepwake import LARGEST_ENTROPY, PatchConfig
from pipeline.errors import DataError

_HALVINGS = 40


def patch_starts(entropy: Tensor, threshold: float, config: PatchConfig) -> Tensor:
    """Which bytes begin a patch, bool (B, L); the first one always does.

    Args:
        entropy: Nats, (B, L).
        threshold: Nats; of the entropy, or of its rise for the rule ``monotonic``.
        config: The rule, and the least and largest size.
    """
    signal = entropy if config.rule == "global" else entropy.diff(dim=1, prepend=entropy[:, :1])
    wanted, size = signal > threshold, torch.zeros(len(entropy), dtype=torch.long, device=entropy.device)
    starts = torch.zeros_like(wanted)
    for position in range(entropy.shape[1]):
        begins = (wanted[:, position] & (size >= config.min_patch)) | (size >= config.max_patch)
        starts[:, position] = begins | (position == 0)
        size = torch.where(starts[:, position], 1, size + 1)  # bytes of the patch so far, this one included
    return starts


def patch_numbers(starts: Tensor) -> Tensor:
    """The patch of every byte, counted from 0 in each sequence: int64 (B, L)."""
    return starts.long().cumsum(1) - 1


def mean_patch(starts: Tensor) -> float:
    """Bytes a patch, over all sequences (B, L)."""
    return starts.numel() / int(starts.sum())


def patch_sizes(starts: Tensor) -> Tensor:
    """Bytes of every patch, sequence by sequence: int64 (P,)."""
    flat = starts.clone()
    flat[:, 0] = True
    places = flat.flatten().nonzero()[:, 0]
    return places.diff(append=places.new_tensor([flat.numel()]))


def fit_threshold(entropy: Tensor, config: PatchConfig) -> float:
    """The threshold whose patches have the mean size ``target``: the quantile 1 − 1/target, corrected for the limits.

    Without limits on the size, a share of 1/target of all bytes lies above that quantile. The limits add and remove
    starts, so the quantile is searched by bisection.

    Args:
        entropy: Of held-out text, nats (B, L).
        config: The rule, the target and the limits.

    Raises:
        DataError: The nearest mean is further than 10 % from the target, for example since all entropies are alike.
    """
    signal = entropy if config.rule == "global" else entropy.diff(dim=1, prepend=entropy[:, :1])
    ordered = signal.flatten().sort().values
    low, high, best = 0.0, 1.0, (float("inf"), 0.0)
    for _ in range(_HALVINGS):
        level = (low + high) / 2
        threshold = float(ordered[min(int(level * len(ordered)), len(ordered) - 1)])
        mean = mean_patch(patch_starts(entropy, threshold, config))
        best = min(best, (abs(mean - config.target), threshold))
        low, high = (level, high) if mean < config.target else (low, level)
    if best[0] > 0.1 * config.target:
        raise DataError(
            f"no threshold gives patches of {config.target} bytes on {signal.numel()} bytes of text; the nearest mean "
            f"is {best[0]:.2f} away: measure more text, or widen min_patch and max_patch"
        )
    return best[1]


def controlled(threshold: float, starts: Tensor, target: float, gain: float) -> float:
    """The threshold after a batch under an integral controller of the share of starts, kept from 0 to ln 256 nats.

    Args:
        threshold: Nats, before.
        starts: What it gave, bool (B, L).
        target: Bytes of a mean patch.
        gain: Nats for a share that is wrong by 1.
    """
    error = float(starts.float().mean()) - 1 / target
    return min(max(threshold + gain * error, 0.0), LARGEST_ENTROPY)
