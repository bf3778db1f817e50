"""The task that a configuration names; another one is one module here and a value of ``data.task``.

@TASKS.register("needle")
class Needle(Task): ...
"""

from __future__ import annotations

from pipeline.config.needle_task import DataConfig
from pipeline.needle import tasks
from pipeline.needle.tasks.task import Task
from pipeline.registry import Registry

TASKS = Registry[type[Task]]("needle task", tasks)
"""Task of each ``data.task``."""


def task_of(config: DataConfig) -> Task:
    """The task of section ``data``."""
    return TASKS.find(config.task)(config)
