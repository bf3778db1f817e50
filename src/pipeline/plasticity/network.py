"""A network of residual liquid-spiking blocks: images in, spikes between blocks, logits out.

An image is a constant current into LIF neurons, whose spikes go through the blocks. A block's encoder turns them into
spikes of its own; a liquid cell (closed-form continuous time, Hasani et al. 2022, doi:10.1038/s42256-022-00556-7) reads
those step by step with a state of real numbers; both together, and a gated share of the block's input, drive the LIF
neurons that are its output. Logits are a linear reading of the last block's mean rates.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.config.liquid import LiquidModelConfig

READOUT_GAIN = 3.0  # rates are small: logits that reach the usual range at the usual learning rates


@dataclass(frozen=True)
class Spikes:
    """What both sides of one block's synapses did: zeros and ones, shapes (T, B, hidden) and (T, B, spiking)."""

    before: Tensor
    after: Tensor


def lif(config: LiquidModelConfig) -> nn.Module:
    """SpikingJelly's LIF neurons over (T, B, N) currents: v = beta v + I, reset to 0 at the threshold."""
    logging.getLogger("torch._library.triton").setLevel(logging.ERROR)  # it complains that there is no GPU compiler
    from spikingjelly.activation_based import neuron, surrogate

    neurons: nn.Module = neuron.LIFNode(
        tau=1 / (1 - config.beta),
        decay_input=False,
        v_threshold=config.spike_threshold,
        v_reset=0.0,
        surrogate_function=surrogate.ATan(),
        detach_reset=True,
        step_mode="m",
    )
    return neurons


class ResidualLiquidSpikingBlock(nn.Module):
    """One block; see the module.

    Args:
        config: Sizes and neurons.
    """

    def __init__(self, config: LiquidModelConfig) -> None:
        super().__init__()
        hidden, spiking, liquid = config.hidden_dim, config.spiking_units, config.liquid_units
        self.synapse = nn.Linear(hidden, spiking)
        """What a local rule changes, besides gradients: weight (spiking, hidden)."""
        self.encoder = lif(config)
        self.liquid = _liquid_cell(spiking, liquid) if liquid else None
        self.fusion = nn.Sequential(nn.Linear(spiking + liquid, hidden), nn.LayerNorm(hidden))
        self.gate = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.output = lif(config)

    def forward(self, spikes: Tensor) -> tuple[Tensor, Tensor]:
        """Spikes (T, B, hidden) to the block's output (T, B, hidden) and its encoder's spikes (T, B, spiking)."""
        encoded = self.encoder(self.synapse(spikes))
        states = encoded if self.liquid is None else torch.cat([encoded, self.liquid(encoded)[0]], dim=-1)
        currents = self.fusion(states) + torch.sigmoid(self.gate(spikes)) * spikes
        return self.output(self.dropout(currents)), encoded


def _liquid_cell(inputs: int, units: int) -> nn.Module:
    """A CfC over (T, B, F) that returns its states (T, B, units) and the last one (B, units)."""
    from ncps.torch import CfC

    cell: nn.Module = CfC(inputs, units, backbone_units=2 * units, backbone_layers=1, batch_first=False)
    return cell


class LiquidSpikingNetwork(nn.Module):
    """The whole network.

    Args:
        config: Sizes and neurons.
        outputs: Logits K.
        seed: Of the weights.
    """

    def __init__(self, config: LiquidModelConfig, outputs: int, seed: int) -> None:
        super().__init__()
        self.steps = config.num_spike_steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.sensor = nn.Linear(config.input_dim, config.hidden_dim)
            self.sense = lif(config)
            self.blocks = nn.ModuleList(ResidualLiquidSpikingBlock(config) for _ in range(config.num_layers))
            self.readout = nn.Linear(config.hidden_dim, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 784) from 0 to 1 to logits (B, K)."""
        return self.with_spikes(images)[0]

    def with_spikes(self, images: Tensor, of: Sequence[int] = ()) -> tuple[Tensor, dict[int, Spikes]]:
        """Logits (B, K), and the spikes at the synapses of some blocks, without gradients.

        Neurons are at rest before every call and after it, so that batches may have any size.
        """
        from spikingjelly.activation_based import functional

        spikes = self.sense(self.sensor(images).expand(self.steps, -1, -1))
        found: dict[int, Spikes] = {}
        for number, block in enumerate(self.blocks):
            before = spikes
            spikes, encoded = block(spikes)
            if number in of:
                found[number] = Spikes(before.detach(), encoded.detach())
        logits: Tensor = self.readout(spikes.mean(0)) * READOUT_GAIN
        functional.reset_net(self)
        return logits, found
