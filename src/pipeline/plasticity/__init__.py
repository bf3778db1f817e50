"""Plasticity: how spikes change weights without a gradient, and what learns from it."""
