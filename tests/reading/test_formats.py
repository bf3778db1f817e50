"""Markdown, plain text and chat logs become passages with the lines that they stand in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.reading.chat import read_chat
from pipeline.reading.markdown import read_markdown, sections
from pipeline.reading.passage import LARGEST
from pipeline.reading.plain_text import read_plain_text

NOTES = """---
title: not read
---
# Trip to *Elmstead*

We went by [train](https://example.org) on
Friday. <b>It</b> rained.

## Harbour

- a `lantern`
- two kettles
  - one of tin

### Stalls
<!-- a comment -->

| thing | price |
|---|---|
| rope | 3 |

# Café

```
# no heading
```

Late
----

> She said so.
"""


def test_markdown_keeps_headings_lines_and_words_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_text(NOTES, encoding="utf-8")
    found = [(passage.text, passage.source) for passage in read_markdown(path, "notes.md")]
    assert found == [
        (
            "Trip to Elmstead: We went by train on Friday. It rained.",
            "notes.md:6-7 (Trip to Elmstead)",
        ),
        (
            "Trip to Elmstead > Harbour: a lantern; two kettles; one of tin",
            "notes.md:11-13 (Trip to Elmstead > Harbour)",
        ),
        (
            "Trip to Elmstead > Harbour > Stalls: thing, price; rope, 3",
            "notes.md:18-20 (Trip to Elmstead > Harbour > Stalls)",
        ),
        ("Café: # no heading", "notes.md:24-26 (Café)"),
        ("Café > Late: She said so.", "notes.md:31 (Café > Late)"),
    ]


@given(st.text(st.sampled_from("#->*`|_ \n\tab1.[]()!<&"), max_size=80) | st.text(max_size=60))
def test_any_text_has_blocks_within_its_lines(text: str) -> None:
    text = text.replace("\r", "\n")
    for headings, blocks in sections(text):
        assert all(headings)
        for block in blocks:
            assert block.text and 1 <= block.first <= block.last <= text.count("\n") + 1


def test_the_lines_of_a_source_hold_its_words(tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    words = [[f"w{i}-{j}" for j in range(50)] for i in range(6)]
    path.write_text("# All\n\n" + "\n\n".join("\n".join(block) for block in words))
    lines = path.read_text().split("\n")
    passages = read_markdown(path, "notes.md")
    assert len(passages) == 6
    for passage in passages:
        first, last = map(int, passage.source.split(":")[1].split(" ")[0].split("-"))
        assert passage.text == "All: " + " ".join(lines[first - 1 : last])


def test_paragraphs_of_plain_text_and_a_long_one(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    long = " ".join(["And so it went on and on until it ended."] * 30)
    path.write_text(f"\nOn Friday it rained.\nWe stayed.\n\n\n{long}\n")
    first, *others = read_plain_text(path, "log.txt")
    assert (first.text, first.source) == ("On Friday it rained. We stayed.", "log.txt:2-3")
    assert len(others) == 3 and {passage.source for passage in others} == {"log.txt:6"}
    assert " ".join(passage.text for passage in others) == long
    assert all(len(passage.text.split()) <= LARGEST for passage in others)


def chat(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def test_a_chat_is_split_into_exchanges(tmp_path: Path) -> None:
    path = chat(
        tmp_path / "chat.jsonl",
        turn("system", "Be brief."),
        turn("assistant", "Hello."),
        turn("user", "I parked\nat the harbour."),
        turn("user", "Mind it."),
        turn("assistant", "I will."),
        turn("user", "Thanks."),
    )
    found = [(passage.text, passage.source) for passage in read_chat(path, "chat.jsonl")]
    assert found == [
        ("Assistant: Hello.", "chat.jsonl:2 (turn 2)"),
        ("User: I parked at the harbour. User: Mind it. Assistant: I will.", "chat.jsonl:3-5 (turns 3-5)"),
        ("User: Thanks.", "chat.jsonl:6 (turn 6)"),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (turn("robot", "x"), r"chat\.jsonl:2: field 'role': expected one of user, assistant, system, found 'robot'"),
        ({"role": "user"}, r"chat\.jsonl:2: field 'content': is missing"),
        (turn("user", " "), r"chat\.jsonl:2: field 'content': expected text"),
        (turn("user", "<|im_start|>"), r"chat\.jsonl:2: field 'content': holds the chat-template token"),
        ({"role": "user", "contents": "x"}, r"chat\.jsonl:2: field 'contents': is unknown; did you mean 'content'"),
        ({"id": "a", "text": "x"}, r"chat\.jsonl:2: field 'role': is missing"),
        ([1], r"chat\.jsonl:2: expected a JSON object"),
    ],
)
def test_a_bad_turn_names_file_line_and_field(tmp_path: Path, row: object, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_chat(chat(tmp_path / "chat.jsonl", turn("user", "Hello."), row), "chat.jsonl")
