"""Drift texts: three fixed domains, long enough, and those that were fixed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.suites.disjoint import words_of
from pipeline.suites.drift_text import DRIFT_DOMAINS, DRIFT_SHA256, DriftDomain, load_drift
from pipeline.suites.shipped import DATA

# Counted once with SmolLM2's tokenizer: 21,062, 24,651 and 23,712 tokens.
WORDS = {"prose": 15_907, "chat": 18_626, "known": 18_387}


@pytest.mark.parametrize("domain", DRIFT_DOMAINS)
def test_a_domain_is_long_and_has_no_repeats(domain: DriftDomain) -> None:
    texts = load_drift(domain)
    assert len({t.id for t in texts}) == len(texts) == len({t.text for t in texts})
    assert all(t.domain == domain and t.text.strip() == t.text != "" for t in texts)
    assert sum(len(t.text.split()) for t in texts) >= WORDS[domain]


def test_prose_stands_alone_and_replies_have_their_prompt() -> None:
    assert all(t.prompt is None for t in load_drift("prose"))
    for domain in ("chat", "known"):
        prompts = [t.prompt for t in load_drift(domain)]
        assert len(prompts) >= 150 and all(prompts)
        assert len({" ".join(words_of(p or "")) for p in prompts}) == len(prompts)


def test_all_files_together_are_small() -> None:
    assert sum(path.stat().st_size for path in (DATA / "drift").iterdir()) < 600_000


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DATA / "drift", tmp_path / "drift"))
    assert load_drift("prose", folder) == load_drift("prose")
    changed = Path(shutil.copytree(folder, tmp_path / "changed"))
    path = changed / "prose.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace(" the ", " a ", 1), encoding="utf-8")
    with pytest.raises(DataError, match=DRIFT_SHA256["prose"]):
        load_drift("prose", changed)


def test_unknown_domains_and_missing_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected one of prose, chat, known"):
        load_drift("poems")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"chat\.jsonl"):
        load_drift("chat", tmp_path)
