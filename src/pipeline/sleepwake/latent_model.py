"""A byte latent transformer: most of the work is done once a patch and not once a byte.

    bytes ─▶ local encoder ─▶ one vector a patch ─▶ latent transformer ─▶ local decoder ─▶ next byte

The decoder predicts byte t of patch j from bytes before t and from the latents of patches before j. Where a patch
begins must follow from bytes before it alone, as `patcher.patch_starts` sees to. Pagnoni et al. 2024, arXiv:2412.09871,
section 3; without their hashed n-grams.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pipeline.config.sleepwake_parts import LatentConfig
from pipeline.sleepwake.byte_model import BEGIN, VOCABULARY, Block
from pipeline.sleepwake.initial import scale_by_inputs
from pipeline.sleepwake.patcher import patch_numbers


class PatchPooling(nn.Module):
    """States of bytes to one vector a patch: their mean, and what that asks of them by attention of one head.

    Args:
        width: Of a byte's state.
        latent: Of a patch's vector.
    """

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(2 * width, latent, bias=False)

    def forward(self, states: Tensor, member: Tensor) -> Tensor:
        """Vectors (B, P, latent) of states (B, L, W), where member (B, P, L) says whose patch a byte is in."""
        sizes = member.sum(-1, keepdim=True).clamp(min=1)
        mean = (member.to(states.dtype) @ states) / sizes
        scores = self.query(mean) @ self.key(states).mT * states.shape[-1] ** -0.5  # (B, P, L)
        # a patch of none, behind the last one of its sequence, attends evenly and is read by nothing
        shares = scores.masked_fill(~member & member.any(-1, keepdim=True), float("-inf")).softmax(-1)
        pooled: Tensor = self.out(torch.cat([mean, shares @ self.value(states)], -1))
        return pooled


class LatentModel(nn.Module):
    """Logits of every byte of sequences cut into patches.

    Args:
        config: Sizes.
        seed: Of the initial weights.
    """

    def __init__(self, config: LatentConfig, seed: int) -> None:
        super().__init__()
        self.config = config
        local, latent = config.local, config.latent
        self.embedding = nn.Embedding(VOCABULARY, local.width)
        self.encoder = nn.ModuleList(Block(local) for _ in range(local.layers))
        self.pooling = PatchPooling(local.width, latent.width)
        self.first = nn.Parameter(torch.zeros(latent.width))  # what the first patch's bytes read
        self.latent = nn.ModuleList(Block(latent) for _ in range(latent.layers))
        self.latent_norm = nn.RMSNorm(latent.width)
        self.unfolded = nn.Linear(latent.width, local.width, bias=False)
        self.decoder = nn.ModuleList(Block(local) for _ in range(local.layers))
        self.norm = nn.RMSNorm(local.width)
        scale_by_inputs(self, seed, smaller=("joined.weight", "down.weight"))

    def forward(self, values: Tensor, starts: Tensor) -> Tensor:
        """Logits (B, L, V) of byte values (B, L), that of x_t from x_0 … x_{t-1}.

        Args:
            values: Byte values.
            starts: Which bytes begin a patch, bool (B, L); the first one does.
        """
        numbers = patch_numbers(starts)  # (B, L)
        # states[:, t] is about x_{t-1}, so that encoder and decoder share one pass over the shifted bytes
        states = self.embedding(pad(values, (1, 0), value=BEGIN))  # (B, L + 1, W)
        for block in self.encoder:
            states = block(states)
        count = int(numbers.max()) + 1
        member = numbers[:, None] == torch.arange(count, device=values.device)[:, None]  # (B, P, L)
        patches = self.pooling(states[:, 1:], member)
        for block in self.latent:
            patches = block(patches)
        known = self.latent_norm(patches)[:, :-1]
        known = torch.cat([self.first.expand(len(values), 1, -1), known], 1)  # [:, j] is of patches before j
        read = self.unfolded(known).gather(1, numbers[..., None].expand(-1, -1, states.shape[-1]))
        stream = states[:, :-1] + read
        for block in self.decoder:
            stream = block(stream)
        logits: Tensor = self.norm(stream) @ self.embedding.weight.T
        return logits


def stride_starts(batch: int, length: int, mean: float) -> Tensor:
    """Starts (B, L) of patches of a fixed mean size: byte t begins one if t / mean passes a whole."""
    whole = (torch.arange(length, dtype=torch.float64) / mean).floor()
    starts = whole.diff(prepend=torch.tensor([-1.0], dtype=torch.float64)) > 0
    return starts.expand(batch, -1).clone()
