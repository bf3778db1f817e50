"""The command ``engram``. Nothing imports this package, and it imports heavy libraries only inside commands."""

import os

# Threads that spin at a barrier burn the processor time of whoever they wait for: on a machine with anything else to
# do, training ran ten times slower. Threads that sleep at once are slow to wake: 1.4 times on an idle one. So they spin
# for some microseconds. OpenMP reads this once, when PyTorch is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from pipeline.cli.app import main

__all__ = ["main"]
