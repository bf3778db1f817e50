"""No byte sees itself or what follows, patches do reach the bytes behind them, and padding changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pipeline.config.sleepwake import ByteModelConfig
from pipeline.config.sleepwake_parts import LatentConfig
from pipeline.sleepwake.flops import transformer_flops
from pipeline.sleepwake.latent_model import LatentModel, stride_starts
from pipeline.sleepwake.latent_training import latent_flops
from pipeline.sleepwake.patcher import mean_patch
from tests.sleepwake.tiny import SIZES, model

LENGTH = 24
TINY = LatentConfig(
    local=ByteModelConfig(width=16, layers=1, heads=2, hidden=32, context=LENGTH),
    latent=ByteModelConfig(width=24, layers=2, heads=2, hidden=48, context=LENGTH),
    byte=SIZES,
    patcher=SIZES,
)


@pytest.fixture
def latent() -> LatentModel:
    return LatentModel(TINY, 0).eval()


def values(batch: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randint(256, (batch, LENGTH), generator=torch.Generator().manual_seed(seed))


def starts(seed: int = 0) -> torch.Tensor:
    drawn = torch.rand(2, LENGTH, generator=torch.Generator().manual_seed(seed)) < 0.3
    drawn[:, 0] = True
    return drawn


@pytest.mark.parametrize("place", range(LENGTH))
def test_a_byte_changes_no_logit_up_to_its_own(latent: LatentModel, place: int) -> None:
    before, changed = values(), values()
    changed[:, place] = (changed[:, place] + 1) % 256
    with torch.no_grad():
        one, other = latent(before, starts()), latent(changed, starts())
    torch.testing.assert_close(one[:, : place + 1], other[:, : place + 1], atol=1e-5, rtol=0)
    if place + 1 < LENGTH:
        assert not torch.allclose(one[:, place + 1 :], other[:, place + 1 :], atol=1e-4)


def test_bytes_read_latents_of_earlier_patches_alone(latent: LatentModel) -> None:
    begins = torch.zeros(1, LENGTH, dtype=torch.bool)
    begins[:, [0, 8, 16]] = True
    one = torch.zeros(1, LENGTH, dtype=torch.long)
    latent.requires_grad_(False)
    for block in (*latent.encoder, *latent.decoder):
        block.joined.weight.zero_()  # bytes attend to nothing, so that patches are the only way
    changed = one.clone()
    changed[:, 9] = 65
    apart = (latent(one, begins) - latent(changed, begins)).abs().amax(-1)[0] > 1e-6
    # byte 10 has byte 9 as its input; the rest of the second patch must not know, all of the third must
    assert apart.nonzero()[:, 0].tolist() == [10, *range(16, 24)]


def test_sequences_do_not_depend_on_each_other(latent: LatentModel) -> None:
    begins = torch.zeros(2, LENGTH, dtype=torch.bool)
    begins[0, ::2], begins[1, ::6] = True, True  # the second has patches of padding beside the first
    with torch.no_grad():
        both, alone = latent(values(), begins), latent(values()[1:], begins[1:])
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-5)


def test_gradients_are_finite_with_padding(latent: LatentModel) -> None:
    begins = torch.zeros(2, LENGTH, dtype=torch.bool)
    begins[0, ::2], begins[1, 0] = True, True
    latent(values(), begins).square().mean().backward()
    assert all(weight.grad is not None and torch.isfinite(weight.grad).all() for weight in latent.parameters())


@pytest.mark.parametrize("mean", [1.0, 4.0, 4.5])
def test_strides_have_their_mean(mean: float) -> None:
    begins = stride_starts(3, 360, mean)
    assert begins.shape == (3, 360) and bool(begins[:, 0].all())
    assert mean_patch(begins) == pytest.approx(mean, rel=0.02)


def test_operations_are_those_that_torch_counts(latent: LatentModel) -> None:
    begins = stride_starts(1, LENGTH, 4.0)
    # the counter knows the plain kernel of attention, not the fused one of a CPU
    with FlopCounterMode(display=False) as counted, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        latent(values(1), begins)
    assert latent_flops(TINY, LENGTH, 6) == pytest.approx(counted.get_total_flops(), rel=0.02)
    with FlopCounterMode(display=False) as counted, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model()(values(1))
    assert transformer_flops(SIZES, LENGTH, 258) == pytest.approx(counted.get_total_flops(), rel=0.02)
