"""Stages of the flow ``sleepwake``: one module with a function ``run`` each."""
