"""All trained matrices in one vector: the optimiser and the clipping of gradients start a handful of kernels a step.

An adapter has some hundred small matrices. One by one, an optimiser step costs a GPU more time in Python and launches
than the model's own forward and backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Parameter


class FlatParameters:
    """Parameters and their gradients as views of two vectors of all N numbers, in the order given.

    Args:
        parameters: By name; of one type, on one device. Their values stay; they and their gradients now lie in the
            vectors, where code that adds to a gradient adds in place.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self._sizes = {name: parameter.numel() for name, parameter in parameters.items()}
        self._shapes = {name: parameter.shape for name, parameter in parameters.items()}
        values = list(parameters.values())
        self.vector = Parameter(torch.cat([p.detach().flatten() for p in values]) if values else torch.zeros(0))
        self.vector.grad = torch.zeros_like(self.vector)
        own, gradients = self.views(self.vector.detach()), self.views(self.vector.grad)
        for name, parameter in parameters.items():
            parameter.data, parameter.grad = own[name], gradients[name]

    def views(self, vector: Tensor) -> dict[str, Tensor]:
        """Parts of a vector (N,), each in the shape of its parameter."""
        parts = torch.split(vector, list(self._sizes.values()))
        return {name: part.view(self._shapes[name]) for name, part in zip(self._sizes, parts, strict=True)}
