"""Which runs are one measurement."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.config import config_hash, load_config
from pipeline.config.results import GroupConfig
from pipeline.results.entries import Entry, entries_of
from pipeline.results.figures import figures_of
from pipeline.results.grouping import Group, group, variants
from pipeline.results.reading import Found, Run, Unfinished
from pipeline.results.settings import changed, command, defaults, text_of
from tests.results.examples import CODE, MONTH, OLD_CODE, config, nights, run

SHIPPED = dict(defaults("consolidation/episodic") or {})
LATER = "2026-11-27T12:00:00.000+00:00"


def shipped(seed: int, em: float = 0.95, settings: dict[str, Any] | None = None, **changes: Any) -> Run:
    return run(seed, em, SHIPPED | {"seed": seed, "root": "/tmp/elsewhere"} | (settings or {}), **changes)


def only(*runs: Run, **changes: Any) -> Group:
    return group(Found(runs=runs), config(**changes))[0]


def test_figures_are_those_of_the_report_and_a_few_made_of_them() -> None:
    found = figures_of(nights(1, whole=True))
    assert found["arms.post_off_heldout.em"] == 0.9 and found["worst_form"] == 0.75
    assert found["retention_learned"] == pytest.approx(0.9)
    assert found["retention_last"] == pytest.approx((0.7 + 0.8 + 0.9) / 3)
    assert found["seconds"] == 270 and found["tokens"] == 3000 and found["nights_refused"] == 0
    single = figures_of([run(1)])
    assert "retention_last" not in single and "nights_refused" not in single and single["seconds"] == 90


def test_nights_of_a_month_are_one_entry_whole_or_cut_short() -> None:
    (whole,) = entries_of(Found(runs=tuple(nights(1, whole=True))))
    assert whole.whole and whole.count == 3 and whole.run_id == MONTH and len(whole.nights) == 3
    stopped = Unfinished("month", MONTH, 1, "running", "", nights=8)
    (short,) = entries_of(Found(runs=tuple(nights(1, whole=False)), unfinished=(stopped,)))
    assert not short.whole and short.count == 8 and short.run_id == MONTH and short.progress == "3 of 8"
    assert short.run.report.run_id == f"{MONTH}-03" and short.deployment == "month"


def test_a_night_that_is_part_of_no_month_stands_alone() -> None:
    (entry,) = entries_of(Found(runs=(run(1, deployment="nightly"),)))
    assert entry.deployment == "nightly" and entry.whole


def test_the_tenth_night_comes_after_the_ninth() -> None:
    (entry,) = entries_of(Found(runs=tuple(reversed(nights(1, whole=False, count=11)))))
    assert [night.report.run_id[-2:] for night in entry.nights] == [f"{n:02d}" for n in range(1, 12)]


def test_runs_as_shipped_come_first_whatever_else_was_run_more_often() -> None:
    found = only(
        shipped(1),
        *(shipped(seed, settings={"lora.rank": 4}) for seed in (1, 2, 3)),
        shipped(9, settings={"lora.rank": 8}),
    )
    assert [(v.label, [e.seed for e in v.entries]) for v in found.variants] == [
        ("as shipped", [1]), ("lora.rank=4", [1, 2, 3]), ("lora.rank=8", [9]),
    ]  # fmt: skip


def test_what_changes_no_night_makes_no_variant_and_the_larger_examination_counts() -> None:
    full = shipped(1, 0.8, {"evaluation.controls": "full"}, run_id="full", finished="2026-11-27T09:00:00.000+00:00")
    (variant,) = only(shipped(1), full).variants
    assert [e.run_id for e in variant.entries] == ["full"] and len(variant.superseded) == 1


def test_newer_code_counts_and_the_older_run_is_kept_aside() -> None:
    old = shipped(1, 0.5, {"evaluation.controls": "full"}, code_version=OLD_CODE)
    new = shipped(1, 0.9, run_id="new", finished=LATER)
    (variant,) = only(old, new).variants
    assert [e.run_id for e in variant.entries] == ["new"] and variant.superseded[0].run.report is old.report
    assert variant.codes == [CODE]


def test_without_settings_the_adapter_s_decide_and_two_unlike_runs_of_a_seed_are_ambiguous() -> None:
    lora = run(5).report.to_json()["lora"] | {"config_hash": "fedcba0987654321"}
    other = run(1, run_id="other", lora=lora)
    twin = run(2, run_id="twin", config_hash="f" * 16)
    first, second = only(run(1), run(2), run(3), twin, other).variants
    assert first.settings is None and [e.seed for e in first.entries] == [1, 3]
    assert sorted(e.run_id for e in first.ambiguous) == sorted([run(2).report.run_id, "twin"])
    assert [e.run_id for e in second.entries] == ["other"]


def test_without_settings_the_same_configuration_on_newer_code_supersedes() -> None:
    newer = run(1, run_id="newer", code_version=OLD_CODE, config_hash="e" * 16, finished=LATER)
    (variant,) = only(run(1), newer).variants
    assert [e.run_id for e in variant.entries] == ["newer"] and not variant.ambiguous


def test_a_month_that_was_cut_short_is_in_no_mean() -> None:
    stopped = Unfinished("month", "later", 2, "running", "", nights=3)
    found = Found(tuple([*nights(1, whole=True), *nights(2, whole=False, month="later")]), (stopped,))
    months = group(found, config())[1]
    entries = [e.seed for v in months.variants for e in v.entries]
    assert entries == [1] and [e.seed for v in months.variants for e in v.short] == [2]
    assert not months.unfinished  # it is named among those that were cut short


def test_a_deployment_or_size_that_nobody_named_makes_a_group_of_its_own() -> None:
    groups = group(Found(runs=(run(1, facts=12), run(1, deployment="spatial"))), config())
    assert [g.name for g in groups] == ["episodic@50", "month-3x50", "episodic@12", "spatial@50"]
    assert groups[2].config.title == "consolidation/episodic, 12 facts"


def test_a_group_can_ask_for_a_figure() -> None:
    forgot = {"target": 0.0, "prior": 0.0, "seen_target": 0.0, "seen_prior": 0.0, "n": 1, "questions": 3}
    wanted = GroupConfig(title="Forgetting", deployment="nightly", has="forget.target")
    groups = config().model_dump()["groups"] | {"forget": wanted.model_dump()}
    found = group(
        Found(runs=(run(1, deployment="nightly"), run(2, deployment="nightly", forget=forgot))), config(groups=groups)
    )
    assert {g.name: [e.seed for v in g.variants for e in v.entries] for g in found if g.variants} == {
        "forget": [2], "nightly@50": [1],
    }  # fmt: skip


def test_settings_that_nobody_kept_are_known_by_the_digest_of_the_configuration() -> None:
    full = config_hash(load_config("consolidation/episodic", ["seed=1", "evaluation.controls=full"]))
    first, second = only(run(1, config_hash=full), run(2)).variants
    assert first.shipped and first.entries[0].settings == {"evaluation.controls": "full"}
    assert second.settings is None and [e.seed for e in second.entries] == [2]
    month = config_hash(load_config("consolidation/month", ["seed=1", "session=default", "nights.count=3"]))
    *before, last = nights(1, whole=True)
    head = run(1, deployment="month", run_id=MONTH, config_hash=month, retention=last.report.to_json()["retention"])
    (variant,) = group(Found(runs=(*before, head)), config())[1].variants
    assert variant.shipped and variant.entries[0].settings == {"nights.count": 3}


def test_a_run_that_failed_stands_in_its_group() -> None:
    failed = Unfinished("episodic", "bad", 4, "failed", "loss did not fall")
    assert group(Found(unfinished=(failed,)), config())[0].unfinished == (failed,)
    other = replace(failed, facts=200)
    assert not any(found.unfinished for found in group(Found(unfinished=(other,)), config()))


def test_settings_are_those_that_differ_and_still_exist() -> None:
    given = SHIPPED | {"lora.rank": 4, "lora.gone": 1, "seed": 9, "root": "/tmp/x", "nights.count": 3}
    assert changed(given, SHIPPED) == {"lora.rank": 4, "nights.count": 3}
    assert changed(SHIPPED, SHIPPED) == {}
    assert defaults("consolidation/nowhere") is None


def test_a_command_repeats_a_run_and_tells_no_path_of_another_machine() -> None:
    told = command("consolidation/facts", {"suite.path": "/home/me/my facts.jsonl", "lora.targets": ["a", "b"]}, 7)
    assert told.startswith("engram run consolidation/facts --set seed=7 --set 'suite.path=my facts.jsonl'")
    assert '\'lora.targets=["a", "b"]\'' in told and "/home" not in told
    assert command("consolidation/month", {}, 7).endswith("--set root=FOLDER")
    assert "unknown" in command("consolidation/episodic", None, 7)
    assert text_of({"a.b": True, "c": None, "d": "x"}) == "a.b=true, c=null, d=x"


def test_a_month_s_nights_are_set_as_the_month_s_file_has_them() -> None:
    month = dict(defaults("consolidation/month") or {}) | {"session": "x"}
    night = month | {"nights": None, "suite.n": 50, "suite.skip": 50}
    for key in ("nights.count", "nights.facts"):
        night.pop(key)
    runs = tuple(Run(r.report, night) for r in nights(1, whole=False))
    (entry,) = entries_of(Found(runs, (Unfinished("month", MONTH, 1, "running", "", nights=3),)))
    assert entry.settings == {"nights.count": 3}
    wanted = GroupConfig(title="Months", deployment="month", nights=3, facts=50)
    (variant,) = variants([entry], wanted, ())
    assert variant.shipped and variant.short == (entry,) and not variant.entries


def test_an_entry_tells_every_refused_night() -> None:
    runs = nights(1, whole=True, guards=[{"name": "post_on", "value": None, "threshold": 0.0, "passed": False}])
    assert Entry(tuple(runs)).refused == {f"{MONTH}-01": ("post_on",), f"{MONTH}-02": ("post_on",), MONTH: ("post_on",)}
