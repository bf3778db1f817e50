"""Stages of the flow ``plasticity``: one module each with a function ``run``, in the order of `order`."""
