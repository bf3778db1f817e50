"""The slow average over nights, on a decoder of four tiny layers: kept, rolled back, resumed, scored and asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.artifacts import RunFolder, StageResult, load
from pipeline.errors import ModelError
from pipeline.language import adapter as adapters
from pipeline.progress import Silent
from pipeline.sessions.asking import ask_question
from pipeline.sessions.champion import WEIGHTS, Champion, adapter_name, find_champion, find_slow
from pipeline.sessions.exporting import export_adapter, export_merged
from pipeline.stages import evaluate
from pipeline.stages.lora_train import keep_slow
from pipeline.stages.night import Night, begin
from pipeline.stages.registration import register_night
from pipeline.tracking import open_tracker
from tests.language.tiny import tiny_language_model
from tests.stages.test_sleep import SETTINGS, sleep, small_models  # noqa: F401  (a fixture of that module)
from tests.stores.examples import BagOfWords

OWN = (
    "suite.name=episodic",
    "suite.n=2",
    "lora.epochs=1",
    "lora.batch_size=99",
    "lora.curvature_weight=0",
    "evaluation.sanity_n=4",
    "evaluation.drift_tokens=60",
)
SCORED = ("evaluation.score_slow=true", "evaluation.bootstrap=20", "evaluation.max_new_tokens=4")


def settings(number: int, *more: str) -> list[str]:
    """Of a night with two facts of its own."""
    return [*SETTINGS, *OWN, f"suite.skip={2 * number}", *more]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def settle(night: Night, found: dict[str, StageResult], passed: bool) -> Path:
    """What stage ``promote`` does with a verdict; returns the night's adapter."""
    trained = found["lora_train"].path / "adapter"
    tracker, name = open_tracker(night.config, night.run.path), adapter_name(night.config.model)  # type: ignore
    register_night(tracker, night.config, night.run, found, name, trained, passed, find_slow(trained))
    return trained


def mean_of(slow: Path, fast: Path, decay: float) -> dict[str, torch.Tensor]:
    before, tonight = weights(slow), weights(fast)
    return {name: decay * before[name] + (1 - decay) * tonight[name] for name in tonight}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.allclose(left[n], right[n], atol=1e-7) for n in left)


def test_it_follows_the_champions_through_a_failed_night_and_a_crash(
    artifact_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.stages.evaluate.SentenceEncoder", lambda config: BagOfWords())
    with begin("consolidation/nightly", settings(0)) as night:
        first = settle(night, sleep(night), passed=True)
    assert same(weights(first.parent / "slow"), weights(first))  # the average begins with the first adapter
    with begin("consolidation/nightly", settings(1)) as night:
        failed = settle(night, sleep(night), passed=False)
    assert not same(weights(failed), weights(first)) and find_slow(failed) is not None
    champion = find_champion(artifact_root)
    assert champion is not None and champion.slow == first.parent / "slow"

    with monkeypatch.context() as patched:
        patched.setattr(adapters, "save", lambda *_, **__: (_ for _ in ()).throw(OSError("killed")))
        with (
            pytest.raises(OSError, match="killed"),
            begin("consolidation/nightly", settings(2, "lora.slow_decay=0.75", *SCORED)) as night,
        ):
            sleep(night)
    with begin("consolidation/nightly", settings(2, "lora.slow_decay=0.75", *SCORED)) as night:
        found = sleep(night)
        assert found["sleep_distil"].cached and not found["lora_train"].cached
        third = settle(night, found, passed=True)
        measured = evaluate.run(night.run, night.config, found, Silent())  # type: ignore[arg-type]
    slow = third.parent / "slow"
    assert same(weights(slow), mean_of(first.parent / "slow", third, 0.75))  # nothing of the night that failed
    assert not same(weights(slow), weights(third))
    listed = {file.path for file in load(found["lora_train"].path / "manifest.json").files}
    assert {f"slow/{WEIGHTS}", "slow/adapter_config.json", f"adapter/{WEIGHTS}"} <= listed
    champion = find_champion(artifact_root)
    assert champion is not None and champion.slow == slow

    figures = json.loads((measured.path / "metrics.json").read_text())
    assert figures["slow"]["decay"] == 0.75 and set(figures["slow"]["retention"]) == set(figures["retention"]["3"])
    assert set(figures["slow"]["retention"]) == {"1", "2", "3"}
    assert {"slow_heldout", "earlier_slow"} <= set(figures["arms"])
    asked = {arm: figures["arms"][arm]["n"] for arm in ("slow_heldout", "post_off_heldout")}
    assert asked["slow_heldout"] == asked["post_off_heldout"] > 0
    hands_out(night.run, third, tmp_path)


def hands_out(run: RunFolder, adapter: Path, folder: Path) -> None:
    """``ask --slow`` and ``export --slow`` take the average in the adapter's place."""
    for named in ("champion", run.run_id, str(adapter)):
        options = {"memory": False, "session": None, "k": 1, "root": run.root}
        reply = ask_question("Where was she?", adapter=named, slow=True, **options)  # type: ignore[arg-type]
        assert "slow average" in reply.setting
    copied = export_adapter(run, folder / "adapter", slow=True)
    assert same(weights(copied), weights(adapter.parent / "slow"))
    merged = export_merged(run, folder / "merged", slow=True)
    expected = adapters.load_adapter(tiny_language_model(), adapter.parent / "slow").model.state_dict()
    written = load_file(merged / "model.safetensors")
    assert all(torch.allclose(written[name], expected[name]) for name in written)


@pytest.mark.parametrize(("target", "changes"), [("episodic", ()), ("nightly", ("lora.slow_decay=null",))])
def test_a_fresh_night_and_one_without_decay_keep_none(target: str, changes: tuple[str, ...]) -> None:
    with begin(f"consolidation/{target}", settings(0, "tracking.enabled=false", *changes)) as night:
        found = sleep(night)
    assert find_slow(found["lora_train"].path / "adapter") is None
    with pytest.raises(ModelError, match=r"no slow average.*lora\.slow_decay"):
        export_adapter(night.run, night.run.path / "out", slow=True)


def test_what_was_unlearned_begins_it_anew_and_an_old_champion_begins_it(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for value, folder in zip((0.0, 1.0, 4.0), folders, strict=True):
        write(folder / "adapter", value)
    write(folders[0] / "slow", -1.0)

    keep_slow(folders[1], Champion(1, folders[0] / "adapter", None, folders[0] / "slow"), 0.5, anew=False)
    assert weights(folders[1] / "slow")["x.lora_A.weight"].tolist() == [[0.0, 0.0]]
    keep_slow(folders[2], Champion(2, folders[1] / "adapter", None, folders[1] / "slow"), 0.5, anew=True)
    assert weights(folders[2] / "slow")["x.lora_A.weight"].tolist() == [[4.0, 4.0]]
    keep_slow(folders[2], Champion(2, folders[0] / "adapter", None), 0.25, anew=False)
    assert weights(folders[2] / "slow")["x.lora_A.weight"].tolist() == [[3.0, 3.0]]


def write(folder: Path, value: float) -> None:
    folder.mkdir(parents=True)
    data = adapters.save({"x.lora_A.weight": torch.full((1, 2), value)})
    (folder / WEIGHTS).write_bytes(data)
    (folder / "adapter_config.json").write_text("{}")
