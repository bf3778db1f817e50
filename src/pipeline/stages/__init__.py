"""What each stage of a night does: one file a stage, one function `run`, no Prefect."""
