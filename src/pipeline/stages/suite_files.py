"""A suite on disk, one questions file a split, so that a reader of train questions never opens the test questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.artifacts import RunFolder, Stage, read_table, stage_results
from pipeline.suites.sanity import load_sanity
from pipeline.suites.statistics import overlap
from pipeline.suites.table import questions_of, questions_table, suite_of, suite_tables
from pipeline.suites.types import Question, Split, Suite

SPLITS: tuple[Split, ...] = ("train", "probe", "test")
STUDY = "study"
_ORDER = "order"  # place in the suite, so that the files join again in the original order


def write_suite(stage: Stage, suite: Suite) -> None:
    """Write ``suite``, ``facts`` and ``questions-<split>`` tables into a stage, and ``choices`` where there are any."""
    tables = suite_tables(suite)
    stage.write_table("suite", tables["suite"], "suite/1")
    stage.write_table("facts", tables["facts"], "facts/1")
    if suite.choices:
        stage.write_table("choices", tables["choices"], "choices/1")
    questions = tables["questions"]
    numbered = questions.append_column(_ORDER, pa.array(range(questions.num_rows), pa.int32()))
    for split in SPLITS:
        stage.write_table(f"questions-{split}", numbered.filter(pc.field("split") == split), "questions/1")


def read_suite(folder: Path) -> Suite:
    """The suite that `write_suite` wrote into the stage folder ``teach``, every split included.

    Raises:
        ArtifactError: A file is missing, or of another schema.
    """
    parts = [read_table(folder / f"questions-{split}.parquet", "questions/1") for split in SPLITS]
    questions = pa.concat_tables(parts).sort_by(_ORDER).drop_columns([_ORDER])
    tables = {
        "suite": read_table(folder / "suite.parquet", "suite/1"),
        "facts": read_table(folder / "facts.parquet", "facts/1"),
        "questions": questions,
    }
    if (choices := folder / "choices.parquet").is_file():
        tables["choices"] = read_table(choices, "choices/1")
    return suite_of(tables)


def read_questions(folder: Path, split: Split) -> tuple[Question, ...]:
    """The taught questions of one split, from its own file alone."""
    table = read_table(folder / f"questions-{split}.parquet", "questions/1")
    return questions_of(table.filter(pc.field("arm") == "taught"))


def write_study(stage: Stage, questions: Sequence[Question]) -> None:
    """Write ``study``: the questions that the sleeper made for facts without any; nothing where it made none."""
    if questions:
        stage.write_table(STUDY, questions_table(questions), "questions/1")


def with_study(suite: Suite, distilled: Path) -> Suite:
    """The suite with the study questions of stage folder ``sleep_distil``, which are train and probe questions too.

    The overlap of test forms with trained ones takes them in. A suite of which nothing was studied comes back as it is.
    """
    path = distilled / f"{STUDY}.parquet"
    if not path.is_file():
        return suite
    made: dict[str, list[Question]] = defaultdict(list)
    for question in questions_of(read_table(path, "questions/1")):
        made[question.item_id].append(question)
    taught = tuple(replace(fact, questions=(*fact.questions, *made[fact.id])) for fact in suite.taught)
    trained = {fact.id: [q.question for q in fact.questions if q.split != "test"] for fact in taught if made[fact.id]}
    tests = [question for fact in taught if made[fact.id] for question in fact.asked("test")]
    jaccard = suite.statistics.jaccard | overlap(tests, trained)
    return replace(suite, taught=taught, statistics=replace(suite.statistics, jaccard=jaccard))


def example_question(run: RunFolder) -> Question | None:
    """A plain taught question that a person can try on a finished run: a test question if there is one."""
    taught = stage_results(run).get("teach")
    if taught is None:
        return None
    for split in reversed(SPLITS):
        for question in read_questions(taught.path, split):
            if question.style == "question" and question.system is None and not question.history:
                return question
    return None


def question_texts_of(run: RunFolder) -> dict[tuple[str, str], str]:
    """The last user turn of every question of a run, by item and form; empty for a flow that asks none.

    General questions stand under their half in place of the form, as in the answers.
    """
    taught = stage_results(run).get("teach")
    if taught is None:
        return {}
    suite = read_suite(taught.path)
    asked = [*(q for fact in suite.taught for q in fact.questions), *suite.untaught, *suite.near_miss]
    general = {(question.id, question.half): question.question for question in load_sanity()}
    return general | {(question.item_id, question.form): question.question for question in asked}
