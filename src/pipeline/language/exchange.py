"""Share the rows of a step among processes, one a GPU, and add up what each of them found.

Every process holds the whole model and knows every row of a step, since order and sampling are seeded. It takes its
share of the rows; all losses of a step are sums with weights that hang on all of its rows, so that gradients are added,
not averaged, and any number of processes takes the step that one alone would take, up to rounding. The adapter's
gradient is one vector, so that a step exchanges it at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.language.encoding import EncodedRow, EncodedRows

T = TypeVar("T")
ROUNDING = 1e-3  # of the largest weight
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
"""All processes are on one host: nothing listens to the outside."""
MULTICAST_OFF = {"NCCL_NVLS_ENABLE": "0"}  # NVLink multicast fails in some containers, and gains nothing on a few MB


class PeerLostError(TrainingError):
    """Another process of the training is gone, or did not answer in time."""


class Exchange:
    """A process alone: all rows are its own, and nobody has anything to add.

    Attributes:
        rank: Number of this process, from 0.
        size: How many there are.
    """

    rank, size = 0, 1

    def add(self, tensor: Tensor) -> Tensor:
        """Replace a tensor by its sum over all processes, bit for bit the same in each; returns it."""
        return tensor

    def copy(self, tensor: Tensor, source: int = 0) -> Tensor:
        """Replace a tensor by that of process ``source``; returns it."""
        return tensor

    def ask_first(self, make: Callable[[], T]) -> T:
        """What ``make`` returns in process 0, the only one that calls it."""
        return make()

    def totals(self, values: Sequence[float], device: torch.device) -> list[float]:
        """Sums of a few numbers over all processes, in float64."""
        if self.size == 1:
            return list(values)
        found: list[float] = self.add(torch.tensor(values, dtype=torch.float64, device=device)).tolist()
        return found

    def own(self, encoded: EncodedRows, rows: Sequence[EncodedRow]) -> list[EncodedRow]:
        """This process's share of a step's rows; may be empty."""
        return list(rows) if self.size == 1 else shares(encoded, rows, self.size)[self.rank]

    def align(self, tensor: Tensor) -> None:
        """Give all processes the first one's tensor, from which theirs may differ by rounding on GPUs of other kinds.

        Raises:
            TrainingError: They differ by more.
        """
        if self.size == 1:
            return
        own = tensor.detach().clone()
        first = self.copy(tensor.detach())
        apart = not bool((own - first).abs().max() <= ROUNDING * first.abs().max())  # NaN is apart
        if self.totals([float(apart)], tensor.device)[0]:
            raise TrainingError(
                "the processes' adapters differ, though each took the same steps: lora.processes=1 helps"
            )


ALONE = Exchange()


class Group(Exchange):
    """This process among those that `joined` brought together."""

    def __init__(self) -> None:
        self.rank, self.size = torch.distributed.get_rank(), torch.distributed.get_world_size()

    def add(self, tensor: Tensor) -> Tensor:
        """See `Exchange.add`."""
        with _others_needed():
            torch.distributed.all_reduce(tensor)
        return tensor

    def copy(self, tensor: Tensor, source: int = 0) -> Tensor:
        """See `Exchange.copy`."""
        with _others_needed():
            torch.distributed.broadcast(tensor, source)
        return tensor

    def ask_first(self, make: Callable[[], T]) -> T:
        """See `Exchange.ask_first`; the answer is pickled from process to process."""
        answer = [make() if self.rank == 0 else None]
        with _others_needed():
            torch.distributed.broadcast_object_list(answer, 0)
        return answer[0]  # type: ignore[return-value]


@contextmanager
def _others_needed() -> Iterator[None]:
    """What fails within the block fails for want of another process."""
    try:
        yield
    except RuntimeError as error:
        raise PeerLostError(f"no answer from another process: {error}") from error


@contextmanager
def joined(rank: int, size: int, meeting: Path, on_gpu: bool, timeout: timedelta) -> Iterator[Exchange]:
    """Within the block, this process is one of ``size``: over NCCL on a GPU of its own, over gloo on a CPU.

    Args:
        rank: Its number, and that of its GPU.
        size: How many there are; a single one exchanges nothing.
        meeting: A file, absent at first, by which they find each other.
        on_gpu: Whether tensors to exchange lie on GPUs.
        timeout: After which an exchange without an answer is an error.
    """
    if size == 1:
        yield ALONE
        return
    from accelerate import PartialState
    from accelerate.utils import check_cuda_p2p_ib_support

    threads = max(1, torch.get_num_threads() // size)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ |= {name: str(value) for name, value in place.items()} | MULTICAST_OFF
    for name, value in LOOPBACK.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # else Accelerate chooses
    if on_gpu:
        torch.cuda.set_device(rank)
        if not check_cuda_p2p_ib_support():  # some GPUs cannot read each other's memory
            os.environ |= {"NCCL_P2P_DISABLE": "1", "NCCL_IB_DISABLE": "1"}
    else:
        torch.set_num_threads(threads)
    with _others_needed():
        state = PartialState(cpu=not on_gpu, init_method=meeting.as_uri(), rank=rank, world_size=size, timeout=timeout)
    yield Group()
    state.destroy_process_group()


def shares(encoded: EncodedRows, rows: Sequence[EncodedRow], parts: int) -> list[list[EncodedRow]]:
    """Divide rows so that the largest part has few tokens more than the others, shared prefixes included.

    The longest rows are dealt first, each to the part that then is the shortest (Graham 1969); a part counts every
    prefix once. Same rows, same parts.
    """
    found: list[list[EncodedRow]] = [[] for _ in range(parts)]
    loads, prefixes = [0] * parts, [set[int]() for _ in range(parts)]
    for row in sorted(rows, key=lambda row: -len(row.tokens)):
        prefix = len(encoded.groups[row.group].tokens)
        after = [
            load + len(row.tokens) + (0 if row.group in known else prefix)
            for load, known in zip(loads, prefixes, strict=True)
        ]
        part = after.index(min(after))
        found[part].append(row)
        loads[part] = after[part]
        prefixes[part].add(row.group)
    return found


def deal(costs: Sequence[float], parts: int) -> list[int]:
    """Which of ``parts`` takes each piece of work, so that all take about as long; the most expensive pieces first."""
    owners, loads = [0] * len(costs), [0.0] * parts
    for index in sorted(range(len(costs)), key=lambda index: -costs[index]):
        owners[index] = loads.index(min(loads))
        loads[owners[index]] += costs[index]
    return owners
