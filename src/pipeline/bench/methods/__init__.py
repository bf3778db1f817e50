"""The methods of ``engram bench methods``: a new one is one file with one decorator.

@register_method("plain_sft", "question-only SFT")
def plain_sft(task: Task) -> Learned: ...
"""

from pipeline.bench.methods.registry import Learned, Method, Task, method, methods, register_method

__all__ = ["Learned", "Method", "Task", "method", "methods", "register_method"]
