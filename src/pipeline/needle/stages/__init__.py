"""Stages of the flow ``needle``: one module with a function ``run`` each."""
