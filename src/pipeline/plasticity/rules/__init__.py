"""Plasticity rules by ``rule``, one module each; `pipeline.plasticity.rule` makes them."""
