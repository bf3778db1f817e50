"""The ways in for bytes from outside: each takes a file, and may refuse it by an `EngramError` alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from pipeline.errors import EngramError
from pipeline.fuzzing.composed import Compose, json_lines, plain, raw

_FACT = ("id", "text", "session", "reward", "pin", "subject", "questions")
_PASSAGE, _ASKED = ("title", "context", "questions"), ("question", "answer", "aliases")
_FORM = ("relation", "template", "style", "system", "history")
_ADAPTER = ("peft_type", "r", "lora_alpha", "target_modules", "rank_pattern", "auto_mapping")
_QUESTION = ("question", "answer", "aliases", "split", "style", "system", "history")


@dataclass(frozen=True)
class WayIn:
    """One way in.

    Attributes:
        name: As the command prints it.
        file: Name of the file that it reads.
        compose: From the fuzzer's bytes to that file's.
        take: Reads the file; whatever it writes stands beside it.
    """

    name: str
    file: str
    compose: Compose
    take: Callable[[Path], object]


def _facts(path: Path) -> None:
    """As a night takes facts in: read, widen by forms, write as tables, read again."""
    from pipeline.artifacts import read_table, write_table
    from pipeline.suites.facts import read_facts
    from pipeline.suites.study_forms import with_study_forms
    from pipeline.suites.table import facts_of, facts_table, questions_table

    facts = tuple(with_study_forms(read_facts(path)))
    tables = {"facts": facts_table(facts), "questions": questions_table([q for fact in facts for q in fact.questions])}
    for name, table in tables.items():
        write_table(path.with_name(f"{name}.parquet"), table, f"{name}/1", "0")
    if len({fact.id for fact in facts}) == len(facts):
        found = (read_table(path.with_name(f"{name}.parquet"), f"{name}/1") for name in tables)
        assert facts_of(*found) == facts, "facts are not what was written"


def _documents(path: Path) -> None:
    from pipeline.suites.documents import read_documents

    read_documents(path)


def _triples(path: Path) -> None:
    from pipeline.suites.triples import read_triples

    read_triples(path, 1)


def _pairs(path: Path) -> None:
    from pipeline.suites.tofu import read_pairs

    read_pairs(path, range(1, 2))


def _test_forms(path: Path) -> None:
    from pipeline.suites.phrasing import read_test_forms

    read_test_forms(path)


def _notes(path: Path) -> None:
    from pipeline.reading import facts_of, is_readable, read_path

    if is_readable(path):
        facts_of(read_path(path).passages, "default")


def _configuration(path: Path) -> None:
    from pipeline.config import load_section
    from pipeline.config.benchmarks import GateBenchConfig

    load_section(GateBenchConfig, path)


def _override(path: Path) -> None:
    from pipeline.config import load_section
    from pipeline.config.benchmarks import GateBenchConfig

    text = path.read_bytes().decode("utf-8", "surrogateescape")
    path.write_bytes(b"seed: 1\n")
    load_section(GateBenchConfig, path, [text])


def _adapter_config(path: Path) -> None:
    from pipeline.language.adapter_check import check_config

    check_config(path)


def _weights(path: Path) -> None:
    from pipeline.language.adapter_check import read_tensors

    read_tensors(path)


def _names(path: Path) -> None:
    """A name never leads out of its folder."""
    from pipeline.artifacts import find_run
    from pipeline.config import check_name

    name = path.read_bytes().decode("utf-8", "surrogateescape")
    path.unlink()
    try:
        inside = (path.parent / check_name(name)).resolve().parent == path.parent.resolve()
        assert inside, f"{name!r} leads out of its folder"
    except EngramError:
        pass
    find_run(name, path.parent)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attributes: object) -> None:
        """Remember the tag."""
        self.found.add(tag)


_OURS = {"table", "thead", "tbody", "tr", "th", "td", "p"}


def _shown(path: Path) -> None:
    """Text in a cell of report.md makes no element of its own, and none of it controls a terminal."""
    import markdown
    from markdown_it import MarkdownIt

    from pipeline.report.markdown import escape
    from pipeline.terminal import visible

    text = path.read_bytes().decode("utf-8", "replace")
    cell = escape(text)
    page = f"| a |\n| --- |\n| {cell} |\n\n> {cell}\n"
    for html in (markdown.markdown(page, extensions=["tables"]), MarkdownIt("commonmark").enable("table").render(page)):
        tags = _Tags()
        tags.feed(html)
        assert tags.found <= _OURS | {"blockquote"}, f"{text!r} became {sorted(tags.found - _OURS)}"
    assert not any(ord(c) < 32 and c not in "\n\r\t" for c in visible(text) + cell), (
        f"{text!r} keeps a control character"
    )


def _tokens(path: Path) -> None:
    """No text becomes a control token of the embedded model or of the encoder."""
    from pipeline.suites.control_tokens import KNOWN, neutral

    text = neutral(path.read_bytes().decode("utf-8", "replace"))
    assert not KNOWN.search(text), f"{text!r} still spells a control token"
    tokenizer = _tokenizer()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    found = set(ids) & set(tokenizer.all_special_ids)
    assert not found, f"{text!r} holds the special tokens {sorted(found)}"


@cache
def _tokenizer() -> Any:
    from transformers import AutoTokenizer

    from pipeline.language.models import model_folder

    return AutoTokenizer.from_pretrained(model_folder("embedded"))


WAYS = {
    way.name: way
    for way in (
        WayIn("facts", "in.jsonl", json_lines(_FACT, _QUESTION), _facts),
        WayIn("documents", "in.jsonl", json_lines(_PASSAGE, _ASKED), _documents),
        WayIn("triples", "in.jsonl", json_lines(("subject", "relation", "object")), _triples),
        WayIn("tofu", "in.jsonl", json_lines(("author", "question", "answer")), _pairs),
        WayIn("test_forms", "in.jsonl", json_lines(_FORM), _test_forms),
        WayIn("chat", "in.jsonl", json_lines(("role", "content")), _notes),
        WayIn("markdown", "in.md", plain, _notes),
        WayIn("text", "in.txt", plain, _notes),
        WayIn("yaml", "in.yaml", raw, _configuration),
        WayIn("override", "in.yaml", raw, _override),
        WayIn("adapter_config", "adapter_config.json", json_lines(_ADAPTER), _adapter_config),
        WayIn("safetensors", "adapter_model.safetensors", raw, _weights),
        WayIn("names", "in", plain, _names),
        WayIn("report", "in", plain, _shown),
        WayIn("control_tokens", "in", plain, _tokens),
    )
}  # fmt: skip
"""By name."""
