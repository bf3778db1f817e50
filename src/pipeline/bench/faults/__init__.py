"""``engram bench faults``: nights under kills, full disks, damaged files and crowds.

engram bench faults                                                    # a few of each kind, small nights of the model
engram bench faults --set kinds='["kill"]' --set kills=200
engram bench faults --set kinds='["kill"]' --set victims='["flow","worker","both","server"]' --set kills=8
engram bench faults --set kinds='["enospc"]' --set full_disks=100      # needs root: the disk is a mount of its own

A night is first run undisturbed. Every disturbed one then has to end, by the same command typed again, with the same
report but for what is a run's own (id, times, memory, workers), with every acknowledged episode in the store exactly
once, every digest holding, the champion loadable and nothing left running; or, where a file was damaged or the disk is
full, to say in one message which file it is. Counts and everything that did not hold are kept in
``benchmarks/faults/faults.json``; anything that did not hold makes the exit status 2, and leaves the night's folder.
"""

from pipeline.bench.faults.campaign import faults

__all__ = ["faults"]
