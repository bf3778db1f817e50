"""How many workers, on which GPU, under which limit."""

from __future__ import annotations

import pytest

from pipeline.services import workers as module
from pipeline.services.workers import Asked, slots, workers


@pytest.mark.parametrize(
    ("gpus", "asked", "visible", "limits"),
    [
        (0, None, [""], ["gpu:0"]),
        (0, 2, ["", ""], ["gpu:0", "gpu:1"]),
        (2, None, ["0", "1"], ["gpu:0", "gpu:1"]),
        (1, 2, ["0", "0"], ["gpu:0", "gpu:0"]),
        (4, 1, ["0"], ["gpu:0"]),
    ],
)
def test_every_gpu_serves_one_run(
    monkeypatch: pytest.MonkeyPatch, gpus: int, asked: int | None, visible: list[str], limits: list[str]
) -> None:
    monkeypatch.setattr(module, "gpu_count", lambda: gpus)
    wanted = Asked(workers=2, gpu_workers=asked)
    found = workers(wanted)
    assert [w.name for w in found[:2]] == ["cpu", "cpu-2"] and all(
        not w.extra["CUDA_VISIBLE_DEVICES"] for w in found[:2]
    )
    gpu = found[2:]
    assert [w.extra["CUDA_VISIBLE_DEVICES"] for w in gpu] == visible
    assert [w.extra["ENGRAM_SLOT"] for w in gpu] == limits
    assert list(slots(wanted)) == list(dict.fromkeys(limits))
    assert all(w.command[-2:] == ("--limit", "1") and w.extra["ENGRAM_WORKER"] == w.name for w in gpu)
    assert len({w.name for w in found}) == len(found)
