"""What runs shards of a stage: processes of this host, or a Ray cluster."""

from pipeline.executors.registry import Call, Executor, executor_class, executor_names, register_executor

__all__ = ["Call", "Executor", "executor_class", "executor_names", "register_executor"]
