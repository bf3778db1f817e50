"""Memory that this process holds, and giving back what it no longer uses."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys


def peak_memory_bytes() -> int:
    """Highest resident memory of this process; the kernel counts in KiB, on macOS in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def return_freed_memory() -> None:
    """Give freed memory back to the system, where the C library has ``malloc_trim`` (glibc), and to users of the GPU.

    Without it a process that has trained keeps some 3 GiB of free blocks, and the next stage's memory comes on top.
    """
    gc.collect()
    torch = sys.modules.get("torch")  # whoever has not imported it holds no memory of a GPU
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
