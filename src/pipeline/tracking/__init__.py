"""One MLflow run per night, and the registry alias ``champion``."""

from pipeline.tracking.protocol import NoTracker, Tracker
from pipeline.tracking.registry import champion
from pipeline.tracking.store import initialise, tracking_uri
from pipeline.tracking.tracker import MlflowTracker, open_tracker

__all__ = ["MlflowTracker", "NoTracker", "Tracker", "champion", "initialise", "open_tracker", "tracking_uri"]
