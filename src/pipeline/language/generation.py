"""Batched decoding: shared prefixes are computed once, and finished rows leave the batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.language.attention import grouped
from pipeline.language.decoder import PREFIX_KEY, DecodingCache, PrefixCache, causal_mask, common_prefix, run_layers
from pipeline.language.models import LanguageModel

Progress = Callable[[int], None]
CACHED_TOKENS = {"cpu": 24_000, "cuda": 400_000}
"""Keys and values held for one batch; 24,000 are 1.1 GB of a 135M model in float32."""
BATCHES_ON_GPU = 8  # as many rows together: a token of few rows takes a GPU as long as one of many


@dataclass(frozen=True)
class Generation:
    """One decoded answer.

    Attributes:
        text: Decoded without special tokens, surrounding white space removed.
        new_tokens: Tokens generated, the end token included.
        overlong: Stopped by the token limit.
    """

    text: str
    new_tokens: int
    overlong: bool


@dataclass(frozen=True)
class _Choice:
    """Takes next tokens: the most likely, or drawn where there is a generator."""

    contrast: float
    temperature: float
    draws: torch.Generator | None

    @property
    def copies(self) -> int:
        """Rows of an answer: its own, and that of its counterpart."""
        return 2 if self.contrast > 0 else 1

    def __call__(self, logits: Tensor) -> Tensor:
        """(answers,) tokens from logits (answers x copies, vocabulary)."""
        if self.contrast > 0:  # the two normalisers shift all tokens alike
            told, untold = logits.float().chunk(2)
            logits = (1 + self.contrast) * told - self.contrast * untold
        if self.draws is None:
            return logits.argmax(dim=-1)
        return torch.multinomial((logits.float() / self.temperature).softmax(-1), 1, generator=self.draws)[:, 0]


@dataclass(frozen=True)
class Decoding:
    """How prompts are decoded; the arguments of `generate` that decide every answer, sampling aside."""

    max_new_tokens: int = 24
    batch_size: int = 64
    one_line: bool = False
    contrast: float = 0.0


@dataclass(frozen=True)
class _Batch:
    """Prompts that are decoded together, by index, and the number of tokens with which their whole group begins."""

    group: int
    members: list[int]
    shared: int


def generate(
    lm: LanguageModel,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 24,
    batch_size: int = 64,
    one_line: bool = False,
    against: Sequence[str] | None = None,
    contrast: float = 0.0,
    temperature: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Generation]:
    """Answer rendered prompts, in order: greedily, or by sampling.

    With ``against``, tokens follow (1 + c) log p(. | prompt) - c log p(. | its counterpart) for c = ``contrast``:
    context-aware decoding (Shi et al. 2024, arXiv:2305.14739). A counterpart without the retrieved text turns the
    model from what it would say anyway, such as words of the question, to what the text says.

    Args:
        lm: The model, with or without an adapter.
        prompts: Rendered strings, special tokens included.
        max_new_tokens: Limit of new tokens per answer.
        batch_size: Rows decoded together, at most; fewer where they are long (`CACHED_TOKENS`), more on a GPU.
        one_line: Also stop at the first line break (completion prompts).
        against: The counterpart of each prompt; None, or ``contrast`` 0, decodes the prompts alone.
        contrast: Weight c of the counterparts, at least 0.
        temperature: 0 takes the most likely token; above, tokens are drawn from the softmax of logits / temperature.
        seed: Of the draws.
        progress: Called with the number of answers finished since the last call.

    Raises:
        ValueError: ``against`` is of another length than ``prompts``.
    """
    if against is not None and len(against) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts, but {len(against)} counterparts")
    decoding = Decoding(max_new_tokens, batch_size, one_line, contrast)
    if lm.shards is not None and temperature == 0:  # draws follow one another from batch to batch
        from pipeline.language.sharding import generate_in_shards

        return generate_in_shards(lm, lm.shards, prompts, against, decoding, progress)
    draws = torch.Generator(lm.device).manual_seed(seed) if temperature > 0 else None
    answers = generate_share(lm, prompts, against, decoding, temperature=temperature, draws=draws, progress=progress)
    return [answers[i] for i in range(len(prompts))]


@torch.inference_mode()
def generate_share(
    lm: LanguageModel,
    prompts: Sequence[str],
    against: Sequence[str] | None,
    decoding: Decoding,
    share: tuple[int, int] = (0, 1),
    *,
    temperature: float = 0.0,
    draws: torch.Generator | None = None,
    progress: Progress | None = None,
) -> dict[int, Generation]:
    """Answers to one share of the prompts, by index: number ``share[0]`` of ``share[1]``, dealt batch by batch.

    The batches are those of all prompts, so a share's answers are, bit by bit, what `generate` gives on the same
    kind of processor with as many threads.
    """
    rows, counterparts, batches = _plan(lm, prompts, against, decoding)
    copies = [rows, counterparts] if counterparts else [rows]
    stops = _stop_tokens(lm, decoding.one_line)
    choice = _Choice(decoding.contrast if counterparts else 0.0, temperature, draws)
    answers: dict[int, Generation] = {}
    encoded, prefix, limit = -1, PrefixCache(), decoding.max_new_tokens
    number, count = share
    with grouped(lm.model) if lm.device.type == "cpu" else nullcontext():
        for batch in batches[number::count]:
            if batch.group != encoded:
                encoded, prefix = batch.group, _encode_prefix(lm, rows[batch.members[0]][: batch.shared])
            own = [copy[i][batch.shared :] for copy in copies for i in batch.members]
            tokens = _decode(lm, own, prefix, limit, stops, choice)
            for i, found in zip(batch.members, tokens, strict=True):
                answers[i] = _finish(lm, found, limit, stops, decoding.one_line)
            if progress:
                progress(len(batch.members))
    return answers


def count_batches(lm: LanguageModel, prompts: Sequence[str], against: Sequence[str] | None, decoding: Decoding) -> int:
    """How many batches the prompts make: as many shares as have anything to do."""
    return len(_plan(lm, prompts, against, decoding)[2])


def _plan(
    lm: LanguageModel, prompts: Sequence[str], against: Sequence[str] | None, decoding: Decoding
) -> tuple[list[list[int]], list[list[int]], list[_Batch]]:
    """Tokens of the prompts, those of the counterparts that count, and which rows are decoded together."""
    rows = _tokens(lm, prompts)
    counterparts = _tokens(lm, against) if against is not None and decoding.contrast > 0 else []
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[tuple(row[:PREFIX_KEY])].append(index)
    most = decoding.batch_size * (BATCHES_ON_GPU if lm.device.type == "cuda" else 1)
    copies = [rows, counterparts] if counterparts else [rows]
    batches: list[_Batch] = []
    for number, members in enumerate(groups.values()):
        members.sort(key=lambda i: (len(rows[i]), rows[i]))
        every = [copy[i] for copy in copies for i in members]
        longest = max(len(row) for row in every) + decoding.max_new_tokens
        together = min(most, max(1, CACHED_TOKENS[lm.device.type] // (longest * len(copies))))
        shared = common_prefix(every)
        batches += [
            _Batch(number, members[start : start + together], shared) for start in range(0, len(members), together)
        ]
    return rows, counterparts, batches


def _tokens(lm: LanguageModel, prompts: Sequence[str]) -> list[list[int]]:
    return [lm.tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]


def _stop_tokens(lm: LanguageModel, one_line: bool) -> Tensor:
    """(vocabulary,) boolean: tokens after which a row is finished."""
    stops = torch.zeros(lm.model.config.vocab_size, dtype=torch.bool)
    stops[lm.tokenizer.eos_token_id] = True
    if one_line:
        pieces = lm.tokenizer.batch_decode([[i] for i in range(len(lm.tokenizer))])
        stops[torch.tensor([i for i, piece in enumerate(pieces) if "\n" in piece])] = True
    return stops


def _encode_prefix(lm: LanguageModel, tokens: Sequence[int]) -> PrefixCache:
    cache = PrefixCache()
    if tokens:
        ids = torch.tensor([tokens], device=lm.device)
        positions = torch.arange(len(tokens), device=lm.device)[None]
        layers = len(lm.model.model.layers)
        run_layers(lm.model, lm.model.model.embed_tokens(ids), 0, layers, positions=positions, cache=cache)
    cache.recording = False
    return cache


def _decode(
    lm: LanguageModel,
    rows: list[list[int]],
    prefix: PrefixCache,
    max_new_tokens: int,
    stops: Tensor,
    choice: _Choice,
) -> list[list[int]]:
    """New tokens of each answer; its row, or two with its counterpart's, is padded on the left after the prefix.

    The counterparts follow all the rows that they belong to and take the same new tokens.
    """
    device, layers, shared = lm.device, len(lm.model.model.layers), prefix.length
    width = max(len(row) for row in rows)
    pads = torch.tensor([width - len(row) for row in rows], device=device)  # (B,)
    ids = torch.full((len(rows), width), lm.tokenizer.pad_token_id, device=device)
    for index, row in enumerate(rows):
        ids[index, width - len(row) :] = torch.tensor(row, device=device)
    columns = torch.arange(width, device=device)
    positions = (shared + columns[None] - pads[:, None]).clamp_min(shared)  # (B, width)
    real = torch.ones(len(rows), shared + width + max_new_tokens, dtype=torch.bool, device=device)
    real[:, shared : shared + width] = columns[None] >= pads[:, None]
    causal = causal_mask(shared, width, device)
    if causal is None:
        causal = torch.ones(width, width, dtype=torch.bool, device=device).tril()[None, None]
    mask = causal & real[:, None, None, : shared + width]
    if shared == 0:  # a padding query must attend to something, or its softmax is NaN
        mask = mask | torch.eye(width, dtype=torch.bool, device=device)[None, None]
    cache = DecodingCache(prefix, len(rows), shared + width + max_new_tokens)
    alive = torch.arange(len(rows) // choice.copies, device=device)
    decoded: list[list[int]] = [[] for _ in alive]
    stops = stops.to(device)
    for step in range(max_new_tokens):
        hidden = run_layers(
            lm.model, lm.model.model.embed_tokens(ids), 0, layers, positions=positions, mask=mask, cache=cache
        )
        cache.length += ids.shape[1]
        chosen = choice(lm.model.lm_head(lm.model.model.norm(hidden[:, -1])))  # (answers,)
        for row, token in zip(alive.tolist(), chosen.tolist(), strict=True):
            decoded[row].append(token)
        going = (~stops[chosen]).nonzero()[:, 0]
        if len(going) == 0 or step + 1 == max_new_tokens:
            break
        if len(going) < len(alive):
            kept = torch.cat([going + copy * len(alive) for copy in range(choice.copies)])
            cache.keep(kept)
            alive, chosen, positions, real = alive[going], chosen[going], positions[kept], real[kept]
        ids, positions = chosen.repeat(choice.copies)[:, None], positions[:, -1:] + 1
        mask = real[:, None, None, : cache.length + 1]
    return decoded


def _finish(lm: LanguageModel, tokens: list[int], limit: int, stops: Tensor, one_line: bool) -> Generation:
    text = lm.tokenizer.decode(tokens, skip_special_tokens=True)
    if one_line:
        text = text.split("\n", 1)[0]
    return Generation(text.strip(), len(tokens), len(tokens) == limit and not bool(stops[tokens[-1]]))
