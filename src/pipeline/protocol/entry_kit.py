"""What an entrant may read: the facts with their train and probe questions, and the rules."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pipeline.artifacts import write_bytes
from pipeline.protocol.frozen import frozen, load_frozen
from pipeline.sessions.exporting import new_folder
from pipeline.suites.types import Fact, Question

FACTS, RULES = "facts.jsonl", "README.md"


def export_kit(suite_name: str, folder: Path) -> Path:
    """Write ``facts.jsonl`` and ``README.md`` into a new folder; no test question and no control is among them.

    Raises:
        ConfigError: No such suite.
        DataError: The suite is not the one that was frozen.
        ArtifactError: The folder exists and is not empty.
    """
    suite = load_frozen(suite_name)
    lines = [json.dumps(_row(fact), ensure_ascii=False) for fact in suite.taught]
    facts = ("\n".join(lines) + "\n").encode()

    def write(staged: Path) -> None:
        write_bytes(staged / FACTS, facts)
        write_bytes(staged / RULES, rules(suite_name, len(suite.taught), hashlib.sha256(facts).hexdigest()).encode())

    return new_folder(folder, write)


def _row(fact: Fact) -> dict[str, object]:
    """A fact as ``engram teach`` and the suite ``facts`` read it."""
    questions = [_question(question) for split in ("train", "probe") for question in fact.asked(split)]
    return {"id": fact.id, "text": fact.text, "subject": fact.subject, "questions": questions}


def _question(question: Question) -> dict[str, object]:
    row: dict[str, object] = {
        "question": question.question,
        "answer": question.answer,
        "aliases": list(question.aliases),
        "split": question.split,
        "style": question.style,
    }
    if question.system is not None:
        row["system"] = question.system
    if question.history:
        row["history"] = [list(turn) for turn in question.history]
    return row


def rules(suite_name: str, facts: int, facts_sha256: str) -> str:
    """The rules of a suite, as Markdown."""
    return f"""# Engram suite {suite_name}: what you may train on

`{FACTS}` holds {facts} invented facts, one JSON object a line: `text` is what happened, `questions` ask for it in
phrasings that you may train on (`split: train`) or use to decide when to stop (`split: probe`).

- SHA-256 of the suite, test questions included: `{frozen(suite_name).sha256}`
- SHA-256 of `{FACTS}`: `{facts_sha256}`

## Rules

1. Learn the facts into the weights of one model: a checkpoint, or a LoRA adapter that can be merged into its base. It
   is asked closed book: the prompt holds the question alone. No router, store or retrieval at test time.
2. Train on `{FACTS}` and on whatever you make from it, and on any text that does not concern the suite. The test
   questions and their phrasings, the untaught and near-miss people, the sanity panels and the drift texts lie in the
   package `engram`: nothing may be trained on them, and nothing chosen or stopped by them.
3. Choose settings on facts of other seeds (`engram run consolidation/episodic --set seed=…`), never by this score.
4. Report the base, the training tokens and the seconds with the score, and the mean over at least three training seeds.
5. Held-out EM is one figure of several: untaught, near-miss, sanity and drift against the same base stand beside it.

## Score

    engram score FOLDER --suite {suite_name} --out score.json          # a model's or a PEFT adapter's folder
    engram score FOLDER --set model.name=BASE               # an entrant of another base than the embedded one

`score.json` names the suite's SHA-256 and says by `suite.complete` whether all of it was asked.

The product's own night on these facts: `engram run consolidation/facts --set suite.path={FACTS}`, then `engram score
consolidation/facts`.
"""
