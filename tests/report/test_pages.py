"""Markdown, HTML and terminal: complete, self-contained, and deaf to what users write."""

from __future__ import annotations

import html
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from pipeline.evaluation.metrics import summarise
from pipeline.report.composed_table import composed_table
from pipeline.report.exchanges import Exchange, chosen, failures, question_texts, side_by_side
from pipeline.report.figures import duration, number, other_table, short
from pipeline.report.markdown import escape, markdown
from pipeline.report.page import page
from pipeline.report.plots import PLOTS, NightTables, draw
from pipeline.report.terminal import summary_table, verdict_table
from pipeline.report.write import write_report
from pipeline.suites.relational import build_relational
from pipeline.suites.spatial import build_spatial
from tests.report.examples import DRIFT, IDENTITY, answered, make_report, night_tables

SUITE, ANSWERS = answered()
REPORT = make_report(SUITE, ANSWERS)
EVIL = "<script>alert(1)</script> [x](http://e.vil) | `code` ![i](http://e.vil/i.png) <img src=x onerror=y> **b** [red]"


class Elements(HTMLParser):
    """Collects tags and attributes, and checks that they are balanced."""

    VOID = ("meta", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def evil_exchange() -> Exchange:
    return Exchange("e0", EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, False)


DRAWN = tuple(name for name in PLOTS if name != "retention")  # a single night has no matrix


def test_the_retention_matrix_is_drawn_once_there_are_two_nights() -> None:
    measured = summarise(ANSWERS, SUITE, DRIFT, resamples=50)
    for nights, drawn in ((1, False), (2, True), (14, True)):
        matrix = {str(i): {str(j): j / (i + 1) for j in range(1, i + 1)} for i in range(1, nights + 1)}
        report = make_report(SUITE, ANSWERS, metrics=measured | {"retention": matrix, "backward_transfer": -0.1})
        assert ("retention" in draw(report, night_tables())) is drawn
        assert ("backward_transfer", "-0.100") in other_table(report).rows


def test_the_average_over_nights_stands_beside_the_nights_own_adapter() -> None:
    slow = {"decay": 0.5, "retention": {"1": 0.75, "2": 0.25}, "mean": 0.5, "fast_mean": 0.375}
    report = make_report(SUITE, ANSWERS, metrics=summarise(ANSWERS, SUITE, DRIFT, resamples=50) | {"slow": slow})
    assert report.to_json()["slow"] == slow and "slow" not in REPORT.to_json()
    rows = other_table(report).rows
    assert ("slow average, facts of night 1", "0.750") in rows
    assert ("slow average, all nights", "0.500 (own 0.375)") in rows


def test_everything_is_written(tmp_path: Path) -> None:
    paths = write_report(tmp_path, REPORT, ANSWERS, question_texts(SUITE), night_tables(), "seed: 1337")
    assert [p.relative_to(tmp_path).as_posix() for p in paths] == [
        "report.json", *(f"plots/{name}.png" for name in DRAWN), "report.md", "report.html",
    ]  # fmt: skip
    text = (tmp_path / "report.html").read_text()
    assert text.count("data:image/png;base64,") == len(DRAWN)
    assert "seed: 1337" in text
    for name in DRAWN:
        assert f"plots/{name}.png" in (tmp_path / "report.md").read_text()


def test_the_page_is_whole_and_asks_nobody_for_anything() -> None:
    text = page(REPORT, draw(REPORT, night_tables()), config_text="a: b")
    elements = Elements(text)
    assert elements.open == []
    assert {"script", "link", "iframe", "object"}.isdisjoint(elements.tags)
    links = [value for name, value in elements.attributes if name in ("src", "href")]
    assert all(link.startswith("data:image/png;base64,") for link in links)
    assert re.search(r"url\(|@import|https?://", text) is None
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    for arm in REPORT.arms:
        assert f"<td>{arm}</td>" in text


def test_html_of_users_stays_text() -> None:
    report = make_report(SUITE, ANSWERS, identity=IDENTITY.model_copy(update={"model": EVIL}), workers={"teach": EVIL})
    report = report.model_copy(update={"notes": (EVIL,)})
    text = page(report, {}, [evil_exchange()], [evil_exchange()], 1, EVIL)
    elements = Elements(text)
    assert {"script", "img", "a"}.isdisjoint(elements.tags)
    assert "onerror" not in [name for name, _ in elements.attributes]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_markdown_of_users_stays_text() -> None:
    report = make_report(SUITE, ANSWERS, identity=IDENTITY.model_copy(update={"model": EVIL}))
    text = markdown(report.model_copy(update={"notes": (EVIL,)}), [evil_exchange()], [evil_exchange()], 1)
    elements = Elements(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    assert {"script", "img", "a"}.isdisjoint(elements.tags)
    rows = [line for line in text.splitlines() if "alert" in line and line.startswith("| ✗")]
    assert len(rows) == 2
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 7 for row in rows)


@pytest.mark.parametrize("text", ["a_b*c", "1. x", "# h", "a\n\nb", "x|y", "\\", "~~s~~", "&lt;"])
def test_escaped_markdown_shows_what_was_written(text: str) -> None:
    rendered = (
        MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(f"| h |\n| --- |\n| {escape(text)} |\n")
    )
    shown = re.search(r"<td>(.*?)</td>", rendered, re.DOTALL)
    assert shown is not None
    assert html.unescape(shown[1]) == " ".join(text.split())


def test_the_terminal_shows_markup_and_does_not_obey_it() -> None:
    report = REPORT.model_copy(update={"run_id": "[red]x"})
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(summary_table(report), verdict_table(report))
    text = console.export_text()
    assert all(arm in text for arm in REPORT.arms)
    assert all(guard.name in text for guard in REPORT.guards)
    assert "[red]x" in text


def test_exchanges_pair_the_three_conditions_and_show_failures() -> None:
    exchanges = side_by_side(ANSWERS, question_texts(SUITE))
    assert len(exchanges) == REPORT.arms["post_off_heldout"].n
    wrong, total = failures(exchanges, 2)
    assert len(wrong) == min(2, total)
    assert total == sum(not e.right for e in exchanges) > 0
    sample = chosen(exchanges, 5)
    assert len({e.item_id for e in sample}) == 5
    assert all(e.memory_on is not None for e in sample)
    golds = {(q.item_id, q.form): (q.question, q.answer) for fact in SUITE.taught for q in fact.questions}
    assert all((e.question, e.gold) == golds[e.item_id, e.form] for e in exchanges)
    turned = [replace(e, right=not e.right, after="?") for e in exchanges]
    assert [e.item_id for e in chosen(turned, 5)] == [e.item_id for e in sample]  # not chosen by their answers


def test_a_question_without_text_shows_its_prompt() -> None:
    assert side_by_side(ANSWERS, {})[0].question.startswith("<|system|>")


def test_plots_are_left_out_where_there_is_nothing_to_show() -> None:
    assert set(draw(REPORT, NightTables())) == {"arms", "overlap", "sanity"}
    bare = make_report(SUITE, ANSWERS, metrics={"arms": {}})
    assert draw(bare, NightTables()) == {}
    assert page(bare, {})
    assert markdown(bare)
    assert draw(REPORT, night_tables()) == draw(REPORT, night_tables())


def test_numbers_as_people_read_them() -> None:
    assert [number(None), number(1234), number(0.12345), number(0.5, 1)] == ["–", "1,234", "0.123", "0.5"]
    assert [short(-0.0), short(0.95 - 0.97), short(40.0), short(None)] == ["0", "-0.02", "40", "–"]
    assert [duration(2.5), duration(185)] == ["2.5 s", "3 min 05 s"]


def test_usable_knowledge_has_a_table_only_where_it_was_measured() -> None:
    bare = make_report(SUITE, ANSWERS, metrics={"arms": {}})
    for made, shown in ((REPORT, True), (bare, False)):
        for text in (markdown(made), page(made, {})):
            assert ("Usable knowledge" in text) is shown
            assert ("all about a subject: slots named" in text) is shown


def test_what_follows_from_facts_together_stands_side_by_side_with_the_base_and_asked_in_steps() -> None:
    made = make_report(*answered(build_relational(4, 1337)))
    told = made.relational
    assert told is not None and told.ci95 and told.prior and told.hops
    joins, one_prompt = composed_table(made).rows
    shown = (told.prior["join"].mean, told.join, told.prior["two_step"].mean, told.two_step, told.hops.mean)
    assert [cell.split(" ")[0] for cell in joins[1:]] == [f"{share:.2f}" for share in shown]
    assert joins[4].endswith(f"({told.ci95['two_step'][0]:.2f} to {told.ci95['two_step'][1]:.2f}, n 12)")
    assert one_prompt[3:] == ("–", "–", "–")
    walks = composed_table(make_report(*answered(build_spatial(10, 1337)))).rows
    assert [row[0].split(" (a guesser")[0] for row in walks] == [
        "first place of an unseen way", "length of an unseen way", "end of two steps"
    ]  # fmt: skip
    assert walks[1][3:] == ("–", "–", "–") and "–" not in walks[2]
    for text in (markdown(made), page(made, {})):
        assert "Facts put together" in text and joins[4] in text
    assert composed_table(REPORT).rows == () and "Facts put together" not in markdown(REPORT)


HOSTILE = (
    "<script>alert(1)</script>",
    "</td><img src=x onerror=alert(1)>",
    "![x](http://evil.example/x.png) [y](javascript:alert(1))",
    "| a | b |\n| --- | --- |",
    "# heading\n> quote\n1. list",
    "\x1b]0;title\x07\x1b[2J\x9b5n\u202e",
    "{{ 7 * 7 }}{% raw %}",
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_text_of_facts_stays_text_in_every_form_of_the_report(text: str) -> None:
    import markdown as python_markdown

    asked = Exchange("id", "form", f"Where? {text}", text, text, text, text, False)
    told = markdown(REPORT, [asked], [asked], 1)
    html = page(REPORT, {}, [asked], [asked], 1, config_text=text)
    rendered = python_markdown.markdown(told, extensions=["tables"])
    for shown in (html, rendered):
        assert "<script" not in shown and "<img" not in shown and "onerror=alert(1)>" not in shown
        assert "javascript:" not in shown or "<a " not in shown
    for shown in (html, told):
        assert not any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 or c == "\u202e" for c in shown)
    assert "49" not in html.partition("Answers side by side")[2].partition("</table>")[0]
