"""What a stage has freed is given back before the next one begins."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.artifacts.footprint import peak_memory_bytes, return_freed_memory

SCRIPT = """
from pathlib import Path
from pipeline.artifacts.footprint import return_freed_memory
resident = lambda: int(Path("/proc/self/statm").read_text().split()[1]) * 4096
blocks = [bytearray(b"x") * 60_000 for _ in range(4000)]  # small enough for the heap
blocks = blocks[-1:]  # the newest block keeps the heap's end in use
held = resident()
return_freed_memory()
print(held, resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_freed_memory_goes_back_to_the_system() -> None:
    told = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout
    held, kept = map(int, told.split())
    assert held > 200e6 and held - kept > 150e6


def test_the_peak_is_that_of_this_process() -> None:
    peak = peak_memory_bytes()
    ballast = bytearray(b"x") * (peak + 50_000_000)
    assert peak_memory_bytes() > peak + 40_000_000
    del ballast
    return_freed_memory()
    assert peak_memory_bytes() >= int(Path("/proc/self/statm").read_text().split()[1]) * 4096
