"""Continual learning as others measure it: one pass over a stream of tasks, an answer without being told the task.

A learner is one file in `pipeline.continual.learners` with one decorator, and one entry in
configs/benchmarks/continual.yaml with its grid and the settings that the grid's best trial had.
"""
