"""A step's forward and backward pass as one launch: CUDA graphs, of batches padded to a few sizes.

A step of a small model has a few thousand kernels of microseconds each, and a GPU waits for Python to start them. A
graph records them once per size of batch and starts them all together. What it needs is that nothing but numbers
changes from one batch of that size to the next: attention is `FlatPacking`'s, whose mask is computed from row numbers;
padding is tokens that see themselves alone and predictions of weight zero; gradients stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from pipeline.language.encoding import Batch, EncodedRows
from pipeline.language.losses import SUMS, Objective, log_probs_of, teacher_width, weighted_sums
from pipeline.language.models import LanguageModel
from pipeline.language.packed import packed_layers
from pipeline.language.packing import FlatPacking

TOKENS, ASKED = 512, 256
"""What sizes are rounded up to: more graphs to record and keep, or more padding to compute."""

T = TypeVar("T")


def record(function: Callable[[], T], warm_up: Callable[[], object], pool: Any = None) -> tuple[Any, T]:
    """A CUDA graph of what ``function`` starts, and its result, which every replay writes anew.

    Args:
        function: Reads and writes tensors that stay where they are, and asks for no number.
        warm_up: The same without effect; libraries allocate and choose on first use.
        pool: Memory that the graph shares with others.
    """
    stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        warm_up()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # NCCL's own thread watches over exchanges meanwhile; what it asks the GPU must not spoil the recording.
    grouped = torch.distributed.is_available() and torch.distributed.is_initialized()
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local" if grouped else "global"):
        result = function()
    return graph, result


class CapturedBackward:
    """Adds a batch's gradients by replaying the graph of its size; a `Backward`.

    Args:
        lm: The model on a CUDA device, its trained parameters with gradients already allocated, and in the state (such
            as `fused_lora`) in which the first call finds it.
        encoded: All rows that may come.
    """

    def __init__(self, lm: LanguageModel, encoded: EncodedRows) -> None:
        self.lm, self.first_layer = lm, encoded.first_layer
        self.width: int | None = teacher_width(encoded.rows)
        self._graphs: dict[tuple[int, int], _Recorded] = {}
        self._pool = torch.cuda.graph_pool_handle()  # replayed one after the other, they share their memory

    def __call__(self, batch: Batch, goal: Objective, scale: Tensor) -> tuple[Tensor, Tensor]:
        """See `Backward`."""
        size = (_rounded(batch.packing.tokens, TOKENS), _rounded(len(batch.targets), ASKED))
        if size not in self._graphs:
            self._graphs[size] = self._record(*size)
        recorded = self._graphs[size]
        recorded.inputs.take(batch, goal, scale)
        recorded.graph.replay()
        return recorded.sums.clone(), recorded.cross[: len(batch.targets)].clone()

    def _record(self, tokens: int, asked: int) -> _Recorded:
        inputs = _Inputs.empty(self.lm, tokens, asked, self.width or 1)
        graph, (sums, cross) = record(
            lambda: self._backward(inputs), lambda: self._backward(inputs), self._pool
        )  # padding alone adds no gradient
        return _Recorded(graph, inputs, sums, cross)

    def _backward(self, inputs: _Inputs) -> tuple[Tensor, Tensor]:
        model = self.lm.model
        layers = len(model.model.layers)
        hidden = packed_layers(model, inputs.hidden, self.first_layer, layers, inputs.packing, narrow=True)
        sums, cross = weighted_sums(log_probs_of(self.lm, hidden, inputs.goal.ids), inputs.goal)
        (inputs.scale * sums).sum().backward()  # type: ignore[no-untyped-call]
        return sums.detach(), cross


def _rounded(size: int, to: int) -> int:
    return -(-size // to) * to


@dataclass(frozen=True)
class _Inputs:
    """Tensors that a graph reads, where the next batch is written."""

    hidden: Tensor
    packing: FlatPacking
    goal: Objective
    scale: Tensor

    @classmethod
    def empty(cls, lm: LanguageModel, tokens: int, asked: int, width: int) -> _Inputs:
        """A batch of padding alone."""

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(*shape, dtype=dtype, device=lm.device)

        def longs(*shape: int) -> Tensor:
            return zeros(*shape, dtype=torch.long)

        apart = torch.arange(tokens, device=lm.device)
        return cls(
            zeros(tokens, lm.model.config.hidden_size, dtype=lm.dtype),
            FlatPacking(longs(tokens), apart, torch.full_like(apart, -1), longs(asked)),
            Objective(longs(asked, 1 + width), zeros(asked, width), zeros(asked), zeros(SUMS, asked)),
            zeros(SUMS),
        )

    def take(self, batch: Batch, goal: Objective, scale: Tensor) -> None:
        """Write a batch, and padding behind it."""
        flat, tokens, asked = batch.packing.flat, batch.packing.tokens, len(batch.targets)
        self.hidden[:tokens] = batch.hidden
        self.hidden[tokens:] = 0
        self.packing.places[:tokens] = flat.places
        self.packing.places[tokens:] = 0
        self.packing.row[:tokens] = flat.row
        self.packing.row[tokens:] = torch.arange(tokens, len(self.hidden), device=self.hidden.device) + len(self.hidden)
        self.packing.behind[:tokens] = flat.behind
        self.packing.behind[tokens:] = -1
        for own, new in (
            (self.packing.asked, flat.asked),
            (self.goal.ids, goal.ids),
            (self.goal.teacher, goal.teacher),
            (self.goal.margin, goal.margin),
        ):
            own[:asked] = new
            own[asked:] = 0
        self.goal.weights[:, :asked] = goal.weights
        self.goal.weights[:, asked:] = 0
        self.scale.copy_(scale)


@dataclass(frozen=True)
class _Recorded:
    """A graph, what it reads and what it writes."""

    graph: Any
    inputs: _Inputs
    sums: Tensor
    cross: Tensor
