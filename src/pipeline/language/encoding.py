"""Turn training rows into token batches; the frozen lower layers run once per row, and their output is kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.language.decoder import PREFIX_KEY, common_prefix
from pipeline.language.models import LanguageModel
from pipeline.language.packed import packed_layers
from pipeline.language.packing import Block, Packing, placed
from pipeline.language.rows import TrainingRow

WORTHWHILE = 1000  # tokens that sharing a prefix must save in one pass over the rows, to be worth a group of its own


@dataclass
class EncodedRow:
    """A row as tokens after its group's shared prefix.

    Attributes:
        row: Where it came from.
        tokens: Suffix of prompt and target, the last target token excluded (nothing follows it).
        columns: Indices into ``tokens`` that predict a target token, ascending.
        targets: The target token of each.
        group: Index of its prefix group.
        lower: (len(tokens), width) output of the frozen lower layers.
    """

    row: TrainingRow
    tokens: list[int]
    columns: Sequence[int]
    targets: list[int]
    group: int
    lower: Tensor | None = None


@dataclass
class PrefixGroup:
    """Rows that share their first tokens, with the lower layers' record of those tokens.

    ``lower`` is (P, width), the prefix's own output of the lower layers; it enters the upper ones once per batch.
    """

    tokens: list[int]
    lower: Tensor | None = None


@dataclass
class EncodedRows:
    """All rows of a night, their prefix groups, and the first layer that is trained."""

    rows: list[EncodedRow]
    groups: list[PrefixGroup]
    first_layer: int

    @property
    def tokens(self) -> int:
        """Tokens of all rows with their prefixes."""
        return sum(len(row.tokens) + len(self.groups[row.group].tokens) for row in self.rows)


@dataclass(frozen=True)
class Batch:
    """Rows packed end to end, each prefix group's shared tokens before its rows.

    Attributes:
        rows: The rows in packed order: by group, then by length.
        packing: Where their tokens stand.
        hidden: (N, width) lower output.
        targets: (M,) the tokens to predict, row by row.
    """

    rows: list[EncodedRow]
    packing: Packing
    hidden: Tensor
    targets: Tensor


def encode(lm: LanguageModel, rows: Sequence[TrainingRow], first_layer: int) -> EncodedRows:
    """Tokenise rows and group them by shared prefix; prompt and target are tokenised apart, as generation does."""
    split: list[tuple[list[int], list[int]]] = []
    keys: dict[tuple[int, ...], list[int]] = defaultdict(list)
    prompts, targets = (_tokens(lm, texts) for texts in ([r.prompt for r in rows], [r.target for r in rows]))
    for index, (prompt, target) in enumerate(zip(prompts, targets, strict=True)):
        split.append((prompt, target))
        keys[tuple(prompt[:PREFIX_KEY])].append(index)
    groups, encoded = [PrefixGroup([])], {}
    for members in keys.values():
        shared = common_prefix([split[i][0] for i in members]) if len(members) > 1 else 0
        group = 0
        if shared * (len(members) - 1) >= WORTHWHILE:
            group = len(groups)
            groups.append(PrefixGroup(split[members[0]][0][:shared]))
        for i in members:
            prompt, target = split[i][0][len(groups[group].tokens) :], split[i][1]
            columns = range(len(prompt) - 1, len(prompt) + len(target) - 1)
            encoded[i] = EncodedRow(rows[i], prompt + target[:-1], columns, target, group)
    return EncodedRows([encoded[i] for i in range(len(rows))], groups, first_layer)


def _tokens(lm: LanguageModel, texts: Sequence[str], at_once: int = 1024) -> list[list[int]]:
    """Token ids of every text; many in one call take a fraction of the time, all at once too much memory."""
    found: list[list[int]] = []
    for first in range(0, len(texts), at_once):
        found += lm.tokenizer(texts[first : first + at_once], add_special_tokens=False)["input_ids"]
    return found


def thinned(row: EncodedRow, every: int, first: int) -> EncodedRow:
    """The row with one of ``every`` target positions, from ``first`` (modulo ``every``) on; at least one stays."""
    kept = slice(first % every % len(row.targets), None, every)
    source = row.row
    fewer = replace(source, top_ids=source.top_ids[kept], top_log_probs=source.top_log_probs[kept])
    return replace(row, row=fewer, columns=row.columns[kept], targets=row.targets[kept])


@torch.no_grad()
def run_lower(
    lm: LanguageModel, encoded: EncodedRows, batch_tokens: int = 4096, progress: Callable[[int], None] | None = None
) -> None:
    """Fill in ``lower`` of every prefix and row: the output of the layers below the first trained one."""
    embed = lm.model.model.embed_tokens
    for rows in batches(encoded, encoded.rows, batch_tokens):
        packing, pieces = _pack(encoded, rows, lm.device)
        ids = torch.tensor([token for piece in pieces for token in piece.tokens], device=lm.device)
        hidden = packed_layers(lm.model, embed(ids), 0, encoded.first_layer, packing, narrow=False)
        for piece, lower in zip(pieces, torch.split(hidden, [len(p.tokens) for p in pieces]), strict=True):
            piece.lower = lower.clone()
        if progress:
            progress(len(rows))


def batches(encoded: EncodedRows, rows: Sequence[EncodedRow], batch_tokens: int) -> list[list[EncodedRow]]:
    """Split rows, by group and length, into batches of at most ``batch_tokens`` tokens with their prefixes."""
    found: list[list[EncodedRow]] = []
    room = 0
    for row in _in_order(rows):
        fresh = not found or found[-1][-1].group != row.group
        room -= len(row.tokens) + (len(encoded.groups[row.group].tokens) if fresh else 0)
        if not found or room < 0:
            found.append([])
            room = batch_tokens - len(row.tokens) - len(encoded.groups[row.group].tokens)
        found[-1].append(row)
    return found


def collate(encoded: EncodedRows, rows: Sequence[EncodedRow]) -> Batch:
    """Pack rows and the lower output of their tokens."""
    rows = _in_order(rows)
    device = next(row.lower.device for row in rows if row.lower is not None)
    packing, pieces = _pack(encoded, rows, device)
    hidden = torch.cat([piece.lower for piece in pieces if piece.lower is not None])
    targets = placed([token for row in rows for token in row.targets], device)
    return Batch(rows, packing, hidden, targets)


def _in_order(rows: Sequence[EncodedRow]) -> list[EncodedRow]:
    return sorted(rows, key=lambda row: (row.group, len(row.tokens)))


def _pack(
    encoded: EncodedRows, rows: Sequence[EncodedRow], device: torch.device
) -> tuple[Packing, list[EncodedRow | PrefixGroup]]:
    """Blocks of rows in order, and what stands in them, prefixes included."""
    blocks: list[Block] = []
    pieces: list[EncodedRow | PrefixGroup] = []
    prefix: int | None = None
    members: list[EncodedRow] = []
    for index, row in enumerate(rows):
        group = encoded.groups[row.group]
        if index == 0 or rows[index - 1].group != row.group:
            prefix = None
            if group.tokens:
                prefix = len(blocks)
                blocks.append(Block((len(group.tokens),), ((),)))
                pieces.append(group)
        members.append(row)
        pieces.append(row)
        following = rows[index + 1] if index + 1 < len(rows) else None
        if following is None or following.group != row.group or _too_long(following, members[0]):
            lengths = tuple(len(member.tokens) for member in members)
            asked = tuple(tuple(member.columns) for member in members)
            blocks.append(Block(lengths, asked, prefix, len(group.tokens)))
            members = []
    return Packing(blocks, device), pieces


def _too_long(row: EncodedRow, shortest: EncodedRow) -> bool:
    """Whether attention would pad the shortest row of a block too far."""
    return len(row.tokens) > 1.5 * len(shortest.tokens) + 8


def upper_hidden(lm: LanguageModel, encoded: EncodedRows, batch: Batch, *, narrow: bool = True) -> Tensor:
    """(M, width) output of the trained layers before the final norm; (N, width) of all tokens if not ``narrow``."""
    layers = len(lm.model.model.layers)
    return packed_layers(lm.model, batch.hidden, encoded.first_layer, layers, batch.packing, narrow=narrow)


def upper_logits(lm: LanguageModel, encoded: EncodedRows, batch: Batch) -> Tensor:
    """(M, vocabulary) float32 logits at the target positions alone, from the trained layers up."""
    logits: Tensor = lm.model.lm_head(lm.model.model.norm(upper_hidden(lm, encoded, batch)))
    return logits.float()
