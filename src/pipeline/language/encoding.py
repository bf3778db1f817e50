"""Turn training rows into token batches; the frozen lower layers run once per row, and their output is kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.language.decoder import PrefixCache, causal_mask, common_prefix, run_layers
from pipeline.language.models import LanguageModel
from pipeline.language.rows import TrainingRow

PREFIX_KEY = 12  # rows that agree in this many first tokens may share a prefix
WORTHWHILE = 1000  # tokens that sharing a prefix must save in one pass over the rows, to be worth a group of its own
PAD_TO = 8  # widths are multiples of this, so that few matrix shapes occur


@dataclass
class EncodedRow:
    """A row as tokens after its group's shared prefix.

    Attributes:
        row: Where it came from.
        tokens: Suffix of prompt and target, the last target token excluded (nothing follows it).
        start: Index into ``tokens`` of the first position that predicts a target token.
        targets: Target tokens, one per position from ``start``.
        group: Index of its prefix group.
        lower: (len(tokens), width) output of the frozen lower layers.
    """

    row: TrainingRow
    tokens: list[int]
    start: int
    targets: list[int]
    group: int
    lower: Tensor | None = None


@dataclass
class PrefixGroup:
    """Rows that share their first tokens, with the lower layers' record of those tokens.

    ``lower`` is (1, P, width), the prefix's own output of the lower layers; it enters the upper ones once per batch.
    """

    tokens: list[int]
    lower: Tensor | None = None
    cache: PrefixCache = field(default_factory=PrefixCache)


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
    """Rows of one prefix group, padded on the right.

    Attributes:
        rows: The B encoded rows.
        hidden: (B, S, width) lower output.
        where: (N, 2) row and column of every position that predicts a target.
        targets: (N,) the tokens to predict.
    """

    rows: list[EncodedRow]
    hidden: Tensor
    where: Tensor
    targets: Tensor


def encode(lm: LanguageModel, rows: Sequence[TrainingRow], first_layer: int) -> EncodedRows:
    """Tokenise rows and group them by shared prefix; prompt and target are tokenised apart, as generation does."""
    split: list[tuple[list[int], list[int]]] = []
    keys: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        prompt = lm.tokenizer(row.prompt, add_special_tokens=False)["input_ids"]
        target = lm.tokenizer(row.target, add_special_tokens=False)["input_ids"]
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
            encoded[i] = EncodedRow(rows[i], prompt + target[:-1], len(prompt) - 1, target, group)
    return EncodedRows([encoded[i] for i in range(len(rows))], groups, first_layer)


@torch.no_grad()
def run_lower(
    lm: LanguageModel, encoded: EncodedRows, batch_tokens: int = 2048, progress: Callable[[int], None] | None = None
) -> None:
    """Fill in ``lower`` of every prefix and row: the output of the layers below the first trained one."""
    embed, first = lm.model.model.embed_tokens, encoded.first_layer
    for group in encoded.groups:
        if group.tokens:
            ids = torch.tensor([group.tokens], device=lm.device)
            positions = torch.arange(len(group.tokens), device=lm.device)[None]
            group.lower = run_layers(lm.model, embed(ids), 0, first, positions=positions, cache=group.cache)
        group.cache.recording = False
    for members in batches_by_width(encoded.rows, batch_tokens):
        group = encoded.groups[members[0].group]
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(m.tokens) for m in members], batch_first=True)
        ids = torch.nn.functional.pad(ids, (0, -ids.shape[1] % PAD_TO)).to(lm.device)
        shared = len(group.tokens)
        positions = torch.arange(shared, shared + ids.shape[1], device=lm.device)[None]
        mask = causal_mask(shared, ids.shape[1], lm.device)
        cache = group.cache if shared else None
        hidden = run_layers(lm.model, embed(ids), 0, first, positions=positions, mask=mask, cache=cache)
        for index, member in enumerate(members):
            member.lower = hidden[index, : len(member.tokens)].clone()
        if progress:
            progress(len(members))


def batches_by_width(rows: Sequence[EncodedRow], batch_tokens: int) -> list[list[EncodedRow]]:
    """Split rows into batches of one prefix group and similar width, each of at most ``batch_tokens`` padded tokens."""
    batches: list[list[EncodedRow]] = []
    for row in sorted(rows, key=lambda r: (r.group, len(r.tokens))):
        width = -(-len(row.tokens) // PAD_TO) * PAD_TO
        last = batches[-1] if batches else []
        if last and last[0].group == row.group and (len(last) + 1) * width <= batch_tokens:
            last.append(row)
        else:
            batches.append([row])
    return batches


def collate(rows: list[EncodedRow]) -> Batch:
    """Pad the lower outputs of rows of one group and list their target positions."""
    width = -(-max(len(row.tokens) for row in rows) // PAD_TO) * PAD_TO
    lowers = [row.lower for row in rows if row.lower is not None]
    hidden = lowers[0].new_zeros(len(rows), width, lowers[0].shape[1])
    for index, lower in enumerate(lowers):
        hidden[index, : len(lower)] = lower
    where = [(i, row.start + t) for i, row in enumerate(rows) for t in range(len(row.targets))]
    targets = [token for row in rows for token in row.targets]
    return Batch(rows, hidden, torch.tensor(where, device=hidden.device), torch.tensor(targets, device=hidden.device))


def upper_hidden(lm: LanguageModel, encoded: EncodedRows, batch: Batch) -> Tensor:
    """(B, S, width) output of the trained layers, before the final norm."""
    group = encoded.groups[batch.rows[0].group]
    layers, shared = len(lm.model.model.layers), len(group.tokens)
    device = batch.hidden.device
    cache = None
    if group.lower is not None:
        cache = PrefixCache()
        positions = torch.arange(shared, device=device)[None]
        run_layers(lm.model, group.lower, encoded.first_layer, layers, positions=positions, cache=cache)
        cache.recording = False
    width = batch.hidden.shape[1]
    positions = torch.arange(shared, shared + width, device=device)[None]
    mask = causal_mask(shared, width, device)
    return run_layers(lm.model, batch.hidden, encoded.first_layer, layers, positions=positions, mask=mask, cache=cache)


def upper_logits(lm: LanguageModel, encoded: EncodedRows, batch: Batch) -> Tensor:
    """(N, vocabulary) float32 logits at the target positions alone, from the trained layers up."""
    hidden = upper_hidden(lm, encoded, batch)
    chosen = hidden[batch.where[:, 0], batch.where[:, 1]]  # (N, width)
    logits: Tensor = lm.model.lm_head(lm.model.model.norm(chosen))
    return logits.float()
