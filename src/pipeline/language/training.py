"""Train the adapter, step by step, from where a killed night stopped."""

from __future__ import annotations

import copy
import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pipeline.artifacts import write_bytes
from pipeline.config.language import LoraConfig
from pipeline.errors import ArtifactError
from pipeline.language.adapter import trainable
from pipeline.language.curriculum import Curriculum, Standing, schedule
from pipeline.language.curvature import CurvatureAnchor
from pipeline.language.encoding import EncodedRow, EncodedRows, batches, collate, upper_logits
from pipeline.language.exchange import ALONE, Exchange
from pipeline.language.fingerprint import DIGEST, fingerprint
from pipeline.language.flat import FlatParameters
from pipeline.language.fused import fused_lora
from pipeline.language.losses import MICRO_BATCH_TOKENS, head_log_probs
from pipeline.language.models import LanguageModel
from pipeline.language.steps import Backward, PlainBackward, Prepared, prepare, start

MOMENTS = ("exp_avg", "exp_avg_sq")  # of AdamW, by its own names


@dataclass(frozen=True)
class Step:
    """What one optimiser step recorded; losses in nats, per row but for ``cross_entropy``.

    ``cross_entropy`` is per token, the first token of a question with its margin. ``curvature`` is the second-order
    estimate of KL(base || student) on general text, before the step. ``probe_accuracy`` is measured after the last step
    of a later epoch on one probe question per fact, in turn, else NaN. ``tokens`` counts every row with its prefix.
    """

    step: int
    epoch: int
    loss: float
    cross_entropy: float
    unlikelihood: float
    anchor: float
    curvature: float
    distil: float
    learning_rate: float
    gradient_norm: float
    examples: int
    tokens: int
    probe_accuracy: float


@torch.no_grad()
def probe_accuracy(
    lm: LanguageModel, encoded: EncodedRows, probes: Sequence[EncodedRow], exchange: Exchange = ALONE
) -> float:
    """Share of questions whose whole gold answer is the greedy continuation (equals greedy EM, in one pass)."""
    right = 0
    for members in batches(encoded, exchange.own(encoded, probes), MICRO_BATCH_TOKENS[lm.device.type]):
        batch = collate(encoded, members)
        hits = upper_logits(lm, encoded, batch).argmax(-1) == batch.targets
        right += sum(bool(part.all()) for part in torch.split(hits, [len(m.targets) for m in batch.rows]))
    return exchange.totals([right], lm.device)[0] / len(probes) if probes else math.nan


@torch.no_grad()
def mean_losses(
    lm: LanguageModel, encoded: EncodedRows, rows: Sequence[EncodedRow], exchange: Exchange = ALONE
) -> list[float]:
    """Cross-entropy of each row's target under the model as it is, nats per token; no row may stand there twice."""
    found: dict[str, float] = {}
    for members in batches(encoded, exchange.own(encoded, rows), MICRO_BATCH_TOKENS[lm.device.type]):
        batch = collate(encoded, members)
        losses = -head_log_probs(lm, encoded, batch, batch.targets[:, None])[:, 0]
        parts = torch.split(losses.cpu(), [len(row.targets) for row in batch.rows])
        found |= {row.row.row_id: float(part.mean()) for row, part in zip(batch.rows, parts, strict=True)}
    return exchange.totals([found.get(row.row.row_id, 0.0) for row in rows], lm.device)


class Trainer:
    """The adapter inside a model, its optimiser, and how far the night has come.

    Args:
        lm: The base with a fresh adapter attached; it is changed in place.
        encoded: All rows, their lower layers computed.
        config: Section ``lora``.
        seed: Of every shuffle.
        anchor: Holds the adapter to the base; None leaves that to the rows.
        checkpoint: File that a killed night left, or will leave.
        known: Facts that earlier nights consolidated; each pass begins by asking what became of them.
        exchange: The processes that share every step, each with a trainer of the same arguments.
    """

    def __init__(
        self,
        lm: LanguageModel,
        encoded: EncodedRows,
        config: LoraConfig,
        seed: int,
        anchor: CurvatureAnchor | None = None,
        checkpoint: Path | None = None,
        known: Collection[str] = (),
        exchange: Exchange = ALONE,
    ) -> None:
        self.anchor, self.exchange = anchor, exchange
        self.lm, self.encoded, self.config, self.seed, self.checkpoint = lm, encoded, config, seed, checkpoint
        self.parameters = trainable(lm.model)
        self.flat = FlatParameters(self.parameters)
        self.optimiser = torch.optim.AdamW(
            [self.flat.vector], config.learning_rate, (0.9, 0.99), weight_decay=0.0, fused=True
        )
        self.backward = self._backward()
        self.curriculum = Curriculum(encoded, config, seed, known)
        self.probes: dict[str, list[EncodedRow]] = defaultdict(list)
        for row in encoded.rows:
            if row.row.split == "probe":
                self.probes[row.row.episode_id].append(row)
        self.steps_per_epoch = self.curriculum.steps_per_epoch
        self.total = self.steps_per_epoch * config.epochs
        self.standing = Standing()  # as it was when the running epoch began
        self.losses: dict[str, list[float]] = {}  # of the running epoch, by fact
        self.records: list[Step] = []
        if checkpoint is not None and checkpoint.exists():
            self._restore(checkpoint)
        exchange.copy(self.flat.vector.detach())

    def _backward(self) -> Backward:
        """On a GPU recorded once for every size of batch."""
        if self.lm.device.type != "cuda":
            return PlainBackward(self.lm, self.encoded)
        from pipeline.language.captured import CapturedBackward

        return CapturedBackward(self.lm, self.encoded)

    def run(self, on_step: Callable[[Step], None] | None = None) -> list[Step]:
        """Train to the end, or for one cooling pass more once the probe questions passed ``patience`` times in a row.

        Cooling takes the learning rate down to a tenth: ended at a high rate, general knowledge has lost more than it
        need. Returns every step's record.
        """
        with fused_lora(self.lm.model):
            for step in self._steps():
                self.records.append(step)
                if on_step:
                    on_step(step)
                if self.finished():
                    break
                due = (step.step + 1) % self.config.checkpoint_steps == 0
                if self.checkpoint is not None and due and self.exchange.rank == 0:
                    self._save(self.checkpoint)
        return self.records

    def finished(self) -> bool:
        """Whether the pass that cools down is done: the one after the last ``patience`` passes reached ``stop_at``."""
        passed = self._passed()
        return passed is not None and len(self.records) >= (passed + 2) * self.steps_per_epoch

    def _passed(self) -> int | None:
        """The pass that was the last of the first ``patience`` in a row to reach ``stop_at``."""
        streak = 0
        for step in self.records[self.steps_per_epoch - 1 :: self.steps_per_epoch]:  # passes are probed at their ends
            if not math.isnan(step.probe_accuracy):
                streak = streak + 1 if step.probe_accuracy >= self.config.stop_at else 0
                if streak == self.config.patience:
                    return step.epoch
        return None

    def _steps(self) -> Iterator[Step]:
        done = len(self.records)
        if self.finished() or self.steps_per_epoch == 0:
            return
        for epoch in range(done // self.steps_per_epoch, self.config.epochs):
            if epoch * self.steps_per_epoch >= done:  # a resumed pass has its losses from the checkpoint
                self._ask_known(epoch)
            after, cooling = copy.deepcopy(self.standing), self._passed() is not None
            steps = self.curriculum.epoch(epoch, after)
            ahead: Prepared | None = None
            for index in range(max(0, done - epoch * self.steps_per_epoch), len(steps)):
                ready = ahead or self._prepare(steps[index])
                upcoming = steps[index + 1] if index + 1 < len(steps) else None
                step, ahead = self._step(epoch, index, ready, upcoming, after, cooling)
                yield step

    def _prepare(self, rows: list[EncodedRow]) -> Prepared:
        return prepare(self.encoded, rows, self.config, self.lm.device, self.backward.width, self.exchange)

    def _ask_known(self, epoch: int) -> None:
        """Measure what is left of the facts of earlier nights, so that a pass rehearses those that slip."""
        asked = self.curriculum.to_measure(epoch)
        losses = mean_losses(self.lm, self.encoded, asked, self.exchange)
        self.standing.loss |= {row.row.episode_id: loss for row, loss in zip(asked, losses, strict=True)}

    def _step(
        self,
        epoch: int,
        index: int,
        prepared: Prepared,
        upcoming: list[EncodedRow] | None,
        after: Standing,
        cooling: bool,
    ) -> tuple[Step, Prepared | None]:
        """One optimiser step, with the next one laid out meanwhile; the last of a pass moves what is known on."""
        step = epoch * self.steps_per_epoch + index
        rate = schedule(step, self.total, self.config)
        if cooling:
            rate *= 1 - 0.9 * (index + 1) / self.steps_per_epoch
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        rows = prepared.rows
        running = start(prepared, self.backward)
        form = torch.zeros(()) if self.anchor is None else self.anchor.add_gradients(self.config.curvature_weight)
        if self.flat.vector.grad is not None:
            self.exchange.add(self.flat.vector.grad)
        norm = torch.nn.utils.clip_grad_norm_([self.flat.vector], self.config.clip)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=False)  # they are views
        ahead = None if upcoming is None else self._prepare(upcoming)
        loss = running.read(self.exchange)
        curvature = self.exchange.totals([float(form)], self.lm.device)[0] if self.anchor else 0.0
        for row in rows:
            if row.row.kind == "question":
                self.losses.setdefault(row.row.episode_id, []).append(loss.by_row[row.row.row_id])
        last = index + 1 == self.steps_per_epoch
        if last:
            after.learn(self.losses)
            self.standing, self.losses = after, {}
            self.exchange.align(self.flat.vector)
        record = Step(
            step=step,
            epoch=epoch,
            loss=loss.total + self.config.curvature_weight * curvature,
            cross_entropy=loss.cross_entropy,
            unlikelihood=loss.unlikelihood,
            anchor=loss.anchor,
            curvature=curvature,
            distil=loss.distil,
            learning_rate=rate,
            gradient_norm=float(norm),
            examples=len(rows),
            tokens=sum(len(r.tokens) + len(self.encoded.groups[r.group].tokens) for r in rows),
            probe_accuracy=self._probe(epoch) if last else math.nan,
        )
        return record, ahead

    def _probe(self, epoch: int) -> float:
        return probe_accuracy(self.lm, self.encoded, self._probes(epoch), self.exchange)

    def _probes(self, epoch: int) -> list[EncodedRow]:
        """One probe question per fact, another one each epoch; none early, where no night can end.

        All of them at once would cost as much as several steps.
        """
        if 2 * (epoch + 1) < self.config.epochs:
            return []
        return [rows[epoch % len(rows)] for rows in self.probes.values()]

    def _save(self, path: Path) -> None:
        """Write parameters, optimiser moments and records as one safetensors file, atomically."""
        tensors: dict[str, torch.Tensor] = {}
        moments = self.optimiser.state[self.flat.vector]
        vectors = {"parameter": self.flat.vector.detach(), **{key: moments[key] for key in MOMENTS}}
        for key, vector in vectors.items():
            tensors |= {f"{key}/{name}": part.cpu().clone() for name, part in self.flat.views(vector).items()}
        progress = {
            "records": [asdict(s) for s in self.records],
            "standing": asdict(self.standing),
            "losses": self.losses,
        }
        told = json.dumps(progress)
        write_bytes(path, save(tensors, metadata={"progress": told, DIGEST: fingerprint(tensors, told)}))

    def _restore(self, path: Path) -> None:
        try:
            with safe_open(path, framework="pt") as file:
                told = file.metadata()["progress"]
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
                if fingerprint(tensors, told) != file.metadata()[DIGEST]:
                    raise ValueError("its digest differs: it was changed or damaged")
                progress = json.loads(told)
                self.records = [Step(**record) for record in progress["records"]]
                self.standing, self.losses = Standing(**progress["standing"]), progress["losses"]
                flat = self.flat.vector
                moments = {key: torch.zeros_like(flat, requires_grad=False) for key in MOMENTS}
                for key, vector in {"parameter": flat.detach(), **moments}.items():
                    for name, part in self.flat.views(vector).items():
                        part.copy_(tensors[f"{key}/{name}"])
                self.optimiser.state[flat] = {
                    "step": torch.tensor(float(len(self.records)), device=flat.device),
                    **moments,
                }
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ArtifactError(f"{path}: not a checkpoint of this night ({error}); delete it to train anew") from error
