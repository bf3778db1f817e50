"""A recurrent controller whose gradient comes through one update of the rule.

An LSTM reads the last observations in the order in which they were made and gives the logarithm of every constant.
What it learns from is the held-out loss after an update with its constants: the weights that the rule would leave are a
differentiable function of them (learning to learn through an unrolled step, Andrychowicz et al. 2016,
arXiv:1606.04474).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.config.liquid import LiquidModelConfig
from pipeline.plasticity.meta import AfterUpdate, MetaController, Multiples, Observation, register_controller


@register_controller("unrolled")
class UnrolledController(MetaController):
    """Begins at multiples of 1: the last layer's weights are 0."""

    def __init__(self, config: LiquidModelConfig, steered: Sequence[str], layers: int, seed: int) -> None:
        super().__init__(config, steered, layers, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.recurrent = nn.LSTM(3, config.meta_hidden_dim, batch_first=True)
            self.head = nn.Linear(config.meta_hidden_dim, layers * len(self.steered))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self._modules = nn.ModuleDict({"recurrent": self.recurrent, "head": self.head})
        self._optimiser = torch.optim.SGD(self._modules.parameters(), lr=config.meta_lr)
        self.history = torch.zeros(0, 3)

    def _chosen(self) -> Multiples:
        history = self.history if len(self.history) else torch.zeros(1, 3)
        last = self.recurrent(history[None])[0][0, -1]
        return self.by_name(self.head(last).view(self.layers, len(self.steered)))

    @torch.no_grad()
    def multiples(self) -> Multiples:
        """See `MetaController.multiples`."""
        return self._chosen()

    def observe(self, seen: Observation, after_update: AfterUpdate) -> None:
        """See `MetaController.observe`: one step down the gradient of the held-out loss after an update."""
        row = torch.tensor([[seen.performance, seen.loss, seen.weight_change]])
        self.history = torch.cat([self.history, row])[-self.config.meta_history_length :]
        loss = after_update(self._chosen())
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._modules.parameters(), 1.0)
        self._optimiser.step()

    def state(self) -> dict[str, Tensor]:
        """See `MetaController.state`."""
        return {"history": self.history, **{f"modules.{k}": v for k, v in self._modules.state_dict().items()}}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """See `MetaController.restore`."""
        self.history = state["history"].clone()
        own = {name.removeprefix("modules."): v for name, v in state.items() if name.startswith("modules.")}
        self._modules.load_state_dict(own)
