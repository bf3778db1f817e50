"""Prefect server, workers and MLflow on loopback: start, stop, look."""
