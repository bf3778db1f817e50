"""Continual learners by name; every module of this package is searched for them."""
