"""Which rows a step trains on, and at which learning rate."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.config.language import LoraConfig
from pipeline.language.encoding import EncodedRow, EncodedRows, thinned
from pipeline.language.rows import Kind
from pipeline.replay.apportionment import apportion

KNOWN_TURN = 4
LOSS_CAP = 3.0  # nats; above it a fact is simply not known yet


def schedule(step: int, steps: int, config: LoraConfig) -> float:
    """Learning rate of a step: linear warm-up, then cosine decay to a tenth of the peak."""
    warm = max(1, round(config.warmup * steps))
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return config.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


@dataclass
class Standing:
    """How far every fact has come; what a checkpoint keeps of the curriculum.

    Attributes:
        asked: Train questions given so far, by fact; where its rotation stands.
        loss: Recent cross-entropy per answer token in nats, by fact.
    """

    asked: dict[str, int] = field(default_factory=dict)
    loss: dict[str, float] = field(default_factory=dict)

    def learn(self, losses: Mapping[str, Sequence[float]]) -> None:
        """Take in a pass: the losses of every fact's questions, the older ones fading by half a pass."""
        for fact, values in losses.items():
            mean = sum(values) / len(values)
            self.loss[fact] = 0.3 * self.loss[fact] + 0.7 * mean if fact in self.loss else mean


class Uses:
    """Rotates through the rows that put facts to use, one kind of use after the other.

    Args:
        rows: All of them; the first part of a form's name is the kind of use.
        known: Facts that earlier nights consolidated; one turn in `KNOWN_TURN` is theirs, if they have any.
        seed: Of the order.
    """

    def __init__(self, rows: Sequence[EncodedRow], known: Collection[str], seed: int) -> None:
        generator = np.random.default_rng([seed, 3])
        by_use: dict[bool, dict[str, list[EncodedRow]]] = {False: defaultdict(list), True: defaultdict(list)}
        for row in (rows[i] for i in generator.permutation(len(rows))):
            by_use[row.row.episode_id in known][row.row.form.partition("/")[0]].append(row)
        self._tonight, self._known = ([found[use] for use in sorted(found)] for found in by_use.values())

    def turn(self, rate: float, turn: int) -> list[EncodedRow]:
        """The rows of one step, ``rate`` on average, none of them twice."""
        if not self._tonight and not self._known:
            return []
        rows = [self._at(place) for place in range(int(turn * rate), int((turn + 1) * rate))]
        return list({row.row.row_id: row for row in rows}.values())

    def _at(self, place: int) -> EncodedRow:
        """The row at a place of the endless rotation."""
        uses = self._tonight or self._known
        if self._tonight and self._known:
            theirs = place % KNOWN_TURN == KNOWN_TURN - 1
            place = place // KNOWN_TURN if theirs else place - place // KNOWN_TURN
            uses = self._known if theirs else self._tonight
        rows = uses[place % len(uses)]
        return rows[place // len(uses) % len(rows)]


class Curriculum:
    """Deals the rows of a night, pass by pass.

    A pass has as many questions as tonight's facts have ``forms_per_epoch``, shared out by recent loss (loss-
    prioritised replay), so that what is known already gives its place to what is not. Facts of earlier nights share
    out ``known_ratio`` as many at most, by their own losses: however many there are, a night costs the same. Beside a
    question that has a namesake's stands that one, in the same words: what the two share cancels, and the name alone
    is left to learn. Rehearsal rotates through the night. Memory prompts come together, because they share a prefix.
    What puts facts to use stands beside the questions and takes none of their places: its kinds take turns.

    Args:
        encoded: All rows of the night.
        config: Section ``lora``.
        seed: Of every shuffle.
        known: Facts that earlier nights consolidated.
    """

    def __init__(self, encoded: EncodedRows, config: LoraConfig, seed: int, known: Collection[str] = ()) -> None:
        self.config, self.seed = config, seed
        self._questions: dict[str, list[EncodedRow]] = defaultdict(list)
        self._namesakes: dict[tuple[str, str], list[EncodedRow]] = defaultdict(list)
        self._statements: dict[str, list[EncodedRow]] = defaultdict(list)
        self._pools: dict[Kind, list[EncodedRow]] = defaultdict(list)
        for row in encoded.rows:
            kind, fact = row.row.kind, row.row.episode_id
            if row.row.split != "train":
                continue
            if kind == "question":
                self._questions[fact].append(row)
            elif kind == "statement":
                self._statements[fact].append(row)
            elif kind == "namesake":
                self._namesakes[fact, row.row.form].append(row)
            else:
                self._pools[kind].append(row)
        self._uses = Uses(self._pools.pop("use", []), known, seed)
        for fact in known:  # its questions say the same
            if fact in self._questions:
                self._statements.pop(fact, None)
        turn = np.random.default_rng([seed, 1])
        for rows in (*self._questions.values(), *self._statements.values(), *self._pools.values()):
            rows[:] = [rows[i] for i in turn.permutation(len(rows))]
        self._known = [fact for fact in self._questions if fact in known]
        self._tonight = [fact for fact in self._questions if fact not in known]
        self.questions_per_epoch, self.known_per_epoch = self._budgets()
        learned = self.questions_per_epoch + self.known_per_epoch + len(self._statements)
        self.batch_size = config.rows_per_step(learned)
        self.steps_per_epoch = -(-learned // self.batch_size)
        self.forget_rate = self._forget_rate()

    def _forget_rate(self) -> float:
        """Rows a step about what is to be forgotten; of each item as many a pass as a learned fact has."""
        items = {row.row.episode_id for row in self._pools["forget"]}
        least = self.config.forms_per_epoch * len(items) / max(1, self.steps_per_epoch)
        return max(self.batch_size * self.config.forget_ratio, least) if items else 0.0

    def _budgets(self) -> tuple[int, int]:
        """Questions a pass about tonight's facts, and about earlier ones; a night without news is all rehearsal."""

        def most(facts: Sequence[str]) -> int:
            return sum(min(self.config.forms_per_epoch, len(self._questions[fact])) for fact in facts)

        tonight, known = most(self._tonight), most(self._known)
        return tonight, min(known, round(self.config.known_ratio * tonight)) if tonight else known

    def to_measure(self, number: int) -> list[EncodedRow]:
        """One question of every fact of earlier nights, another one each pass: what their shares go by."""
        return [self._questions[fact][number % len(self._questions[fact])] for fact in self._known]

    def epoch(self, number: int, standing: Standing) -> list[list[EncodedRow]]:
        """The rows of every step of one pass; ``standing`` moves on by the questions that are given."""
        generator = np.random.default_rng([self.seed, 2, number])
        learned = [rows[number % len(rows)] for rows in self._statements.values()]
        for fact, count in self._shares(standing).items():
            rows, start = self._questions[fact], standing.asked.get(fact, 0)
            learned += [rows[(start + i) % len(rows)] for i in range(count)]
            standing.asked[fact] = start + count
        learned = [learned[i] for i in generator.permutation(len(learned))]
        size, first = self.batch_size, number * self.steps_per_epoch
        steps = [learned[i : i + size] for i in range(0, len(learned), size)]
        return [step + self._beside(step, first + index, standing, generator) for index, step in enumerate(steps)]

    def _shares(self, standing: Standing) -> dict[str, int]:
        """Questions by fact, in the facts' own order."""
        shares: dict[str, int] = {}
        for facts, total in ((self._tonight, self.questions_per_epoch), (self._known, self.known_per_epoch)):
            weights = {f: min(standing.loss.get(f, LOSS_CAP), LOSS_CAP) + self.config.evenness for f in facts}
            shares |= apportion(total, weights, dict.fromkeys(weights, total))
        return {fact: shares[fact] for fact in self._questions}

    def _beside(
        self, learned: Sequence[EncodedRow], step: int, standing: Standing, generator: np.random.Generator
    ) -> list[EncodedRow]:
        """What a step trains beside its learned rows."""
        config, rows = self.config, self._contrast(learned, standing, generator)
        ratios: tuple[tuple[Kind, float], ...] = (
            ("short", config.short_ratio),
            ("long", config.long_ratio),
            ("text", config.text_ratio),
        )
        rows += self._uses.turn(self.batch_size * config.use_ratio, step)
        for kind, ratio in ratios:
            rows += self._turn(kind, self.batch_size * ratio, step)
        rows += self._turn("forget", self.forget_rate, step)
        if step % config.memory_every == config.memory_every // 2:
            prompts = self.batch_size * config.memory_ratio * config.memory_every
            rows += self._turn("memory", prompts, step // config.memory_every)
        return rows

    def _turn(self, kind: Kind, rate: float, turn: int) -> list[EncodedRow]:
        """The next rows of a pool: ``rate`` a turn on average, so that half a row is one in every second turn."""
        pool = self._pools[kind]
        phase = 0.5 if kind == "text" else 0.0  # in a small step a dream stands where no long reply does
        first, after = (int((turn + i) * rate + phase) for i in range(2))
        places = range(first, min(after, first + len(pool)))
        rows = [pool[place % len(pool)] for place in places]
        if kind not in ("long", "text"):
            return rows
        return [
            thinned(row, self.config.anchor_every, place // len(pool)) for row, place in zip(rows, places, strict=True)
        ]

    def _contrast(
        self, learned: Sequence[EncodedRow], standing: Standing, generator: np.random.Generator
    ) -> list[EncodedRow]:
        """A namesake's question, in the same words, for a share of the learned ones, as far as there are such rows.

        What is known best comes first: that is what a namesake may be mistaken for, and what is not known yet would
        only be learned more slowly.
        """
        known_first = sorted(learned, key=lambda row: standing.loss.get(row.row.episode_id, LOSS_CAP))
        pairs = [self._namesakes.get((row.row.episode_id, row.row.form), []) for row in known_first]
        chosen = [some for some in pairs if some][: round(self.config.contrast_ratio * len(learned))]
        return [some[int(generator.integers(len(some)))] for some in chosen]
