"""Take one item out of one store or run; `pipeline.sessions.traces` goes through all of a session's.

Every file is replaced atomically, and manifests are published again from what lies there: a killed attempt leaves whole
files, and the next one goes on with whatever is not done.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.artifacts import (
    GenerationStore,
    Manifest,
    RunFolder,
    Stage,
    digest_file,
    digest_json,
    load,
    publish,
    read_json,
    read_table,
    stage_results,
    write_json,
)
from pipeline.artifacts.disk import remove_tree
from pipeline.artifacts.generations import CURRENT
from pipeline.artifacts.manifest import files_below
from pipeline.artifacts.redaction import TEXT_FILES, Redaction, redact_file, tells
from pipeline.artifacts.stages import MANIFEST
from pipeline.config import ConsolidationConfig, dump_config
from pipeline.errors import EngramError
from pipeline.evaluation.answers import SCHEMA_NAME
from pipeline.report.build import load_report
from pipeline.report.exchanges import question_texts
from pipeline.report.write import rewrite_pages
from pipeline.stages.memory import FACTS, MEMORY
from pipeline.stages.registry import stages_of
from pipeline.stages.suite_files import read_suite, write_suite
from pipeline.suites.types import Question, Suite


def erase_store(folder: Path, rules: Redaction) -> int:
    """Rewrite every generation of a store that holds the item; returns how many files changed."""
    changed = 0
    for path in sorted(folder.glob(f"gen-*/{MANIFEST}")):
        before = load(path, verify=False)
        changed += sum(redact_file(file, rules) for file in files_below(path.parent) if file.suffix == ".parquet")
        _publish_again(path.parent, MANIFEST, before, rules)
    if (folder / CURRENT).exists():
        _publish_again(folder, CURRENT, load(folder / CURRENT, verify=False), rules)
    return changed


def _publish_again(folder: Path, name: str, before: Manifest, rules: Redaction) -> str:
    """Publish a manifest anew if a file of it is not what it says; returns the digest that holds now."""
    files = [folder / entry.path for entry in before.files if (folder / entry.path).is_file()]
    metadata = rules.value(before.metadata)
    found = {path: digest_file(path) for path in files}
    same = len(files) == len(before.files) and all(found[folder / e.path] == e.sha256 for e in before.files)
    if same and metadata == before.metadata:
        return before.digest
    return publish(folder, name, files, metadata).digest


def erase_run(run: RunFolder, config: ConsolidationConfig, rules: Redaction, text: str) -> bool:
    """Take the item out of one run; False when the run never knew it.

    A finished run stays whole: its manifests verify and its report opens. An unfinished one starts again from nothing.

    Args:
        run: One of the item's session.
        config: Its configuration.
        rules: What is to go.
        text: The item's own, by which a private store is known to hold this very item and not its namesake.
    """
    if not any(tells(path, rules) for path in files_below(run.path)):
        if not _torn(run):
            return False
    elif config.fresh and not _holds_item(run, rules, text):
        rules = replace(rules, item=None, words=())
    if run.state != "done":
        for name in (*stages_of(config.flow).names, MEMORY):
            if run.stage_folder(name).exists():
                remove_tree(run.stage_folder(name))
        _redact_loose(run, rules)
        return True
    for store in sorted(run.path.glob(f"{MEMORY}/*/*")):
        erase_store(store, rules)
    _redact_loose(run, rules)
    digests: dict[str, str] = {}
    for name in stages_of(config.flow).names:
        folder = run.stage_folder(name)
        if (folder / MANIFEST).is_file():
            digests[name] = _erase_stage(run, config, name, rules, digests)
    return True


def _torn(run: RunFolder) -> bool:
    """Whether a killed attempt left a manifest that does not fit its files."""
    for path in run.path.glob(f"**/{MANIFEST}"):
        if path.parent != run.path:
            try:
                load(path)
            except EngramError:
                return True
    return False


def _holds_item(run: RunFolder, rules: Redaction, text: str) -> bool:
    """Whether the run's private store or suite holds the id with this very text."""
    for path in [*run.path.glob(f"teach/{FACTS}.parquet"), *run.path.glob(f"{MEMORY}/**/{FACTS}.parquet")]:
        for row in read_table(path, "facts/1").select(["id", "text"]).to_pylist():
            if row["id"] == rules.item:
                return bool(row["text"] == text)
    return True  # a killed attempt took it out already


def _redact_loose(run: RunFolder, rules: Redaction) -> None:
    """Files that lie in the run's folder itself: tracebacks, settings, the report's figures."""
    pages = {"report.md", "report.html"}
    for path in sorted(run.path.iterdir()):
        if path.is_file() and path.suffix in TEXT_FILES and path.name not in pages:
            redact_file(path, rules)
    run.settings_rewritten()
    if run.state != "done":
        for name in pages:
            (run.path / name).unlink(missing_ok=True)


def _erase_stage(
    run: RunFolder, config: ConsolidationConfig, name: str, rules: Redaction, digests: dict[str, str]
) -> str:
    """Rewrite a finished stage; its manifest then names the inputs as they are now. Returns its digest."""
    folder = run.stage_folder(name)
    before = load(folder / MANIFEST, verify=False)
    if name == "teach":
        _rewrite_suite(run, folder, rules)
    for path in files_below(folder):
        if path != folder / MANIFEST:
            redact_file(path, rules)
    if name == "persist_store":
        _refer_again(run, folder / "store.json")
    if name == "report":
        _rewrite_report(run, folder / "files.json", config)
    inputs = {key: digests.get(key, value) for key, value in before.metadata["inputs"].items()}
    renewed = replace(before, metadata={**before.metadata, "inputs": inputs})
    if renewed != before:
        files = [folder / entry.path for entry in before.files if (folder / entry.path).is_file()]
        return publish(folder, MANIFEST, files, rules.value(renewed.metadata)).digest
    return _publish_again(folder, MANIFEST, before, rules)


def _rewrite_suite(run: RunFolder, folder: Path, rules: Redaction) -> None:
    """Write the suite anew without the item, so that its tables still fit each other."""
    if rules.item is None or not (folder / "suite.parquet").is_file():
        return
    try:
        suite = read_suite(folder)
    except EngramError:  # a killed attempt took out the fact and not yet its questions
        for path in folder.glob("questions-*.parquet"):
            redact_file(path, rules)
        suite = read_suite(folder)
    kept = _without(suite, rules.item)
    if kept != suite:
        write_suite(Stage("teach", folder, run.config_hash, hit=False), kept)


def _without(suite: Suite, item: str) -> Suite:
    """The suite but for one fact and all that asks about it."""

    def asked(questions: tuple[Question, ...]) -> tuple[Question, ...]:
        return tuple(question for question in questions if question.item_id != item)

    return replace(
        suite,
        taught=tuple(fact for fact in suite.taught if fact.id != item),
        distractors=tuple(fact for fact in suite.distractors if fact.id != item),
        untaught=asked(suite.untaught),
        near_miss=asked(suite.near_miss),
        conflict=tuple(recall for recall in suite.conflict if recall.question.item_id != item),
        new=tuple(recall for recall in suite.new if recall.question.item_id != item),
        unseen=asked(suite.unseen),
        world=asked(suite.world),
        choices=tuple(choice for choice in suite.choices if choice.question.item_id != item),
    )


def _refer_again(run: RunFolder, path: Path) -> None:
    """Let the references to store generations carry the digests that those have now."""
    content = read_json(path)
    rows: list[dict[str, Any]] = content.get("stores", [content])
    before = [row.get("digest") for row in rows]
    for row in rows:
        base = run.path if row["private"] else run.root
        number, kind = f"gen-{int(row['generation']):06d}", str(row.get("kind", "episodic"))
        manifest = GenerationStore.of(base, str(row["session"]), kind).folder / number / MANIFEST
        if manifest.is_file():
            files = load(manifest, verify=False).files
            row["digest"] = digest_json([[f"{number}/{entry.path}", entry.sha256] for entry in files])
    if [row.get("digest") for row in rows] != before:
        write_json(path, content)


def _rewrite_report(run: RunFolder, listed: Path, config: ConsolidationConfig) -> None:
    """Write the pages anew from the figures and what is left of the answers, and the list of digests with them."""
    results = stage_results(run)
    answers = read_table(results["evaluate"].path / "answers.parquet", SCHEMA_NAME)
    texts = question_texts(read_suite(results["teach"].path))
    rewrite_pages(run.path, load_report(run.path, verify=False), answers, texts, dump_config(config).decode())
    names = read_json(listed)
    write_json(listed, {name: digest_file(run.path / name) for name in names if (run.path / name).is_file()})
