"""Routers by ``masking.mode``, one module each."""
