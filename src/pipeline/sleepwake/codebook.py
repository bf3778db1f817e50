"""Pictures as codes: a VQ-VAE that turns 28 × 28 grey values into 7 × 7 numbers below K, and back.

book = train_codebook(images, config, seed)        images (N, 28, 28) in 0..1
codes = book.codes(images)                         int64 (N, 7, 7)
shown = book.pictures(codes)                       (N, 28, 28)

Van den Oord et al. 2017, arXiv:1711.00937. The quantiser is vector-quantize-pytorch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import gelu, mse_loss
from vector_quantize_pytorch import VectorQuantize

from pipeline.config.sleepwake_parts import CodebookConfig
from pipeline.errors import DataError, TrainingError

SIDE, GRID = 28, 7
"""Pixels, and codes, of a row and of a column."""
_PATCH = SIDE // GRID
_EVALUATED = 500  # images a pass


class ResidualBlock(nn.Module):
    """A 3 × 3 and a 1 × 1 convolution added to features (B, C, 7, 7)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.near = nn.Conv2d(width, width, 3, padding=1)
        self.mixed = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.mixed.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Features of the same shape."""
        added: Tensor = self.mixed(gelu(self.near(gelu(self.norm(features)))))
        return features + added


class Codebook(nn.Module):
    """Encoder, quantiser and decoder.

    All convolutions but the first and last work on the 7 × 7 grid, which on a CPU is many times faster than halving
    the resolution twice; neighbours overlap through them.

    Args:
        config: Sizes.
        seed: Of the initial weights.
    """

    def __init__(self, config: CodebookConfig, seed: int) -> None:
        super().__init__()
        self.config, width = config, config.width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = nn.Sequential(
                nn.Conv2d(1, width, _PATCH + 2, stride=_PATCH, padding=1),
                *(ResidualBlock(width) for _ in range(config.blocks)),
                nn.GroupNorm(8, width),
                nn.Conv2d(width, config.dimension, 1),
            )
            self.decoder = nn.Sequential(
                nn.Conv2d(config.dimension, width, 1),
                *(ResidualBlock(width) for _ in range(config.blocks)),
                nn.GroupNorm(8, width),
                nn.GELU(),
                nn.Conv2d(width, _PATCH**2, 3, padding=1),
                nn.PixelShuffle(_PATCH),
            )
            self.quantiser = VectorQuantize(
                dim=config.dimension,
                codebook_size=config.codes,
                decay=config.decay,
                kmeans_init=True,
                use_cosine_sim=True,
                threshold_ema_dead_code=config.dead_below,
                commitment_weight=config.commitment,
                accept_image_fmap=True,
            )

    @property
    def vectors(self) -> Tensor:
        """The codes' unit vectors, (K, D)."""
        found: Tensor = self.quantiser.codebook
        return found.detach()

    def forward(self, images: Tensor, quantised: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstructions (B, 28, 28), codes (B, 7, 7) and the commitment loss of images (B, 28, 28).

        Args:
            images: Grey values 0..1.
            quantised: Whether the decoder reads codes or, while both parts warm up, the unit encodings themselves.
        """
        encoded = self.encoder(images[:, None])
        if not quantised:
            unit = nn.functional.normalize(encoded, dim=1)
            return self.decoder(unit)[:, 0], encoded.new_zeros(0, dtype=torch.long), encoded.new_zeros(())
        chosen, codes, loss = self.quantiser(encoded)
        return self.decoder(chosen)[:, 0], codes, loss.sum()

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """Codes int64 (B, 7, 7) of images (B, 28, 28); the codebook is put into evaluation mode."""
        self.eval()
        return torch.cat([self(part)[1] for part in torch.split(images, _EVALUATED)])

    @torch.no_grad()
    def pictures(self, codes: Tensor) -> Tensor:
        """Images (B, 28, 28) within 0..1 of codes (B, 7, 7)."""
        self.eval()
        vectors = self.vectors
        shown = [self.decoder(vectors[part].permute(0, 3, 1, 2))[:, 0] for part in torch.split(codes, _EVALUATED)]
        return torch.cat(shown).clamp(0, 1)


def train_codebook(
    images: Tensor,
    config: CodebookConfig,
    seed: int,
    told: Callable[[int, float], None] = lambda step, loss: None,
) -> Codebook:
    """A codebook that reconstructs images.

    Args:
        images: Grey values 0..1, (N, 28, 28), on the device that trains.
        config: Sizes and optimiser.
        seed: Of weights, batches, the first codes and those drawn anew.
        told: Called with each step and its squared error a pixel.

    Raises:
        DataError: There are fewer images than one batch or than codes.
        TrainingError: An error is not finite.
    """
    if len(images) < max(config.batch, config.codes // GRID**2 + 1):
        raise DataError(f"expected {config.batch} images or more, a batch, found {len(images)}")
    book = Codebook(config, seed).to(images.device)
    optimizer = torch.optim.AdamW(book.parameters(), lr=config.lr, betas=(0.9, 0.95), weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    devices = [images.device] if images.is_cuda else []
    with torch.random.fork_rng(devices=devices):  # the quantiser draws from the global generator
        torch.manual_seed(seed)
        book.train()
        for step in range(config.steps):
            for group in optimizer.param_groups:
                rise = min(1.0, (step + 1) / 50)
                group["lr"] = config.lr * rise * (1 + math.cos(math.pi * step / config.steps)) / 2
            rows = torch.randint(len(images), (config.batch,), generator=generator).to(images.device)
            shown, _, commitment = book(images[rows], quantised=step >= config.warmup)
            error = mse_loss(shown, images[rows])
            if not math.isfinite(error.item()):
                raise TrainingError(f"step {step} of the codebook: the error is {error.item()}; lower lr={config.lr}")
            optimizer.zero_grad(set_to_none=True)
            (error + commitment * error.detach()).backward()
            nn.utils.clip_grad_norm_(book.parameters(), 1.0)
            optimizer.step()
            told(step, error.item())
    return book.eval()


def load_codebook(config: CodebookConfig, path: Path, device: str) -> Codebook:
    """A codebook whose weights stand in a safetensors file, in evaluation mode."""
    book = Codebook(config, seed=0)
    book.load_state_dict(load_file(path))
    return book.to(device).eval()
