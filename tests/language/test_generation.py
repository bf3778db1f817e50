"""Batched decoding gives what transformers' own greedy decoding, or its plain forward pass, gives row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.language import generation
from pipeline.language.generation import Generation, generate
from pipeline.language.models import LanguageModel
from tests.language.examples import tokens_of

TOKENS = 10
STARTS = ("", "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n", "Fact: It rained. ")
texts = st.text(st.sampled_from("abc deHMW?.\n"), min_size=1, max_size=40)
started = st.builds(lambda start, text: start + text, st.sampled_from(STARTS), texts)
prompts = st.lists(started, min_size=1, max_size=6)
pairs = st.lists(st.tuples(started, started), min_size=1, max_size=6)


def reference(lm: LanguageModel, prompt: str, tokens: int = TOKENS, stop: int | None = None) -> list[int]:
    """Greedy tokens of transformers for one prompt, up to ``stop`` if it comes."""
    ids = torch.tensor([tokens_of(lm, prompt)])
    with torch.inference_mode():
        made = lm.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            do_sample=False,
            eos_token_id=[],
            pad_token_id=lm.tokenizer.pad_token_id,
        )
    free = [int(token) for token in made[0, ids.shape[1] :]]
    return free[: free.index(stop) + 1] if stop in free else free


@torch.inference_mode()
def contrasted(lm: LanguageModel, prompt: str, counterpart: str, contrast: float, tokens: int = TOKENS) -> list[int]:
    """Greedy tokens of context-aware decoding by its formula, from two whole sequences a step; nothing stops it."""

    def log_softmax(text: str) -> torch.Tensor:
        return lm.model(torch.tensor([tokens_of(lm, text) + made])).logits[0, -1].log_softmax(-1)  # type: ignore[no-any-return]

    made: list[int] = []
    for _ in range(tokens):
        told, untold = log_softmax(prompt), log_softmax(counterpart)
        made.append(int(((1 + contrast) * told - contrast * untold).argmax()))
    return made


def end_with_a_frequent_token(lm: LanguageModel, free: Sequence[list[int]], rank: int = 0) -> None:
    """Make a token that often comes third or later the end token, so that rows end, and not all at once."""
    often = Counter(token for tokens in free for token in tokens[2:]).most_common()
    lm.tokenizer.eos_token = lm.tokenizer.convert_ids_to_tokens(often[rank % len(often)][0])


def ended(lm: LanguageModel, free: Sequence[list[int]]) -> list[Generation]:
    """What is generated where these tokens would come without an end."""
    end, answers = lm.tokenizer.eos_token_id, []
    for tokens in free:
        kept = tokens[: tokens.index(end) + 1] if end in tokens else tokens
        text = lm.tokenizer.decode(kept, skip_special_tokens=True).strip()
        answers.append(Generation(text, len(kept), end not in tokens))
    return answers


@settings(max_examples=12)
@given(prompts=prompts, batch_size=st.integers(1, 5), stop=st.integers(0, 3))
def test_generations_equal_those_of_transformers(
    own_tiny: LanguageModel, prompts: list[str], batch_size: int, stop: int
) -> None:
    lm, free = own_tiny, [reference(own_tiny, prompt) for prompt in prompts]
    end_with_a_frequent_token(lm, free, stop)
    assert generate(lm, prompts, max_new_tokens=TOKENS, batch_size=batch_size) == ended(lm, free)


@settings(max_examples=12)
@given(pairs=pairs, batch_size=st.integers(1, 5), contrast=st.sampled_from([0.3, 1.0, 2.5]), stop=st.integers(0, 3))
def test_context_aware_decoding_follows_its_formula(
    own_tiny: LanguageModel, pairs: list[tuple[str, str]], batch_size: int, contrast: float, stop: int
) -> None:
    lm, free = own_tiny, [contrasted(own_tiny, told, untold, contrast) for told, untold in pairs]
    end_with_a_frequent_token(lm, free, stop)
    told, untold = zip(*pairs, strict=True)
    made = generate(lm, told, max_new_tokens=TOKENS, batch_size=batch_size, against=untold, contrast=contrast)
    assert made == ended(lm, free)


@pytest.mark.parametrize("batch_size", [1, 4, 12])
def test_answers_and_their_counterparts_leave_the_batch_together(own_tiny: LanguageModel, batch_size: int) -> None:
    lm = own_tiny
    told = [f"Fact: It rained. {'Mona went. ' * (i % 4)}Q: {i}" for i in range(12)]
    untold = [f"{STARTS[i % 3]}Q: {'Who? ' * (i % 5)}{i}" for i in range(12)]
    free = [contrasted(lm, *pair, 1.0) for pair in zip(told, untold, strict=True)]
    end_with_a_frequent_token(lm, free)
    expected = ended(lm, free)
    assert len({answer.new_tokens for answer in expected}) > 2
    options = {"max_new_tokens": TOKENS, "batch_size": batch_size}
    assert generate(lm, told, against=untold, contrast=1.0, **options) == expected
    assert generate(lm, told, against=untold, contrast=1.0, temperature=1e-4, **options) == expected
    plain = generate(lm, told, **options)
    assert generate(lm, told, against=untold, contrast=0.0, **options) == plain != expected
    assert generate(lm, told, against=None, contrast=1.0, **options) == plain
    assert generate(lm, told, against=told, contrast=1.0, **options) == plain


def test_every_prompt_needs_its_counterpart(tiny: LanguageModel) -> None:
    for against in ([], ["Fact:"], ["Fact:"] * 3):
        with pytest.raises(ValueError, match=f"2 prompts, but {len(against)} counterparts"):
            generate(tiny, ["Otto", "Mona"], against=against, contrast=1.0)


def test_counterparts_take_their_share_of_the_memory(tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def batches(against: list[str] | None) -> list[int]:
        sizes: list[int] = []
        generate(tiny, ["abcd"] * 4, max_new_tokens=2, against=against, contrast=1.0, progress=sizes.append)
        return sizes

    monkeypatch.setitem(generation.CACHED_TOKENS, "cpu", 4 * (len(tokens_of(tiny, "abcd")) + 2))
    assert batches(None) == [4] and batches(["abcd"] * 4) == [2, 2]
    assert batches(["abcd" * 20] * 4) == [1, 1, 1, 1]


def test_rows_do_not_depend_on_their_batch(tiny: LanguageModel) -> None:
    prompts = [STARTS[i % 3] + "Where did Mona go? " * (1 + i % 4) + str(i) for i in range(14)]
    alone = [generate(tiny, [prompt], max_new_tokens=8)[0] for prompt in prompts]
    assert generate(tiny, prompts, max_new_tokens=8, batch_size=14) == alone
    assert generate(tiny, prompts[::-1], max_new_tokens=8, batch_size=3) == alone[::-1]
    assert generate(tiny, [prompts[0]] * 3, max_new_tokens=8) == [alone[0]] * 3
    assert len({g.text for g in alone}) > 7  # the model is not a constant


def test_one_line_stops_at_the_first_line_break(own_tiny: LanguageModel) -> None:
    lm = own_tiny
    newline = tokens_of(lm, "\n")[0]
    lm.model.lm_head.weight.data[newline] *= 0
    prompts = [f"Fact: {i}. Q" for i in range(8)]
    free = generate(lm, prompts, max_new_tokens=TOKENS)
    seen = Counter(token for prompt in prompts for token in reference(lm, prompt)[1:4])
    with torch.no_grad():  # what was said often now is a line break
        often = seen.most_common(1)[0][0]
        lm.model.lm_head = torch.nn.Linear(32, 400, bias=False)
        lm.model.lm_head.weight.copy_(lm.model.model.embed_tokens.weight)
        lm.model.lm_head.weight[newline] = 2 * lm.model.model.embed_tokens.weight[often]
    lines = generate(lm, prompts, max_new_tokens=TOKENS, one_line=True)
    assert lines != free
    for prompt, line in zip(prompts, lines, strict=True):
        whole = reference(lm, prompt, stop=lm.tokenizer.eos_token_id)
        breaks = [i for i, token in enumerate(whole) if "\n" in lm.tokenizer.decode([token])]
        kept = whole[: breaks[0] + 1] if breaks else whole
        assert line.new_tokens == len(kept) and "\n" not in line.text
        assert line.text == lm.tokenizer.decode(kept, skip_special_tokens=True).split("\n")[0].strip()
        assert line.overlong == (not breaks and len(whole) == TOKENS and whole[-1] != lm.tokenizer.eos_token_id)
    assert any(line.new_tokens < TOKENS for line in lines)


def test_progress_counts_every_answer(tiny: LanguageModel) -> None:
    told: list[int] = []
    generate(tiny, [f"{start}{i}" for start in STARTS for i in range(3)], max_new_tokens=1, progress=told.append)
    assert sum(told) == 9
    assert generate(tiny, [], max_new_tokens=4) == []


@pytest.mark.parametrize("limit", [1, 2])
def test_the_limit_is_kept(tiny: LanguageModel, limit: int) -> None:
    assert [g.new_tokens for g in generate(tiny, ["Otto", "Mona went"], max_new_tokens=limit)] == [limit, limit]


def test_draws_follow_the_softmax_and_the_seed(tiny: LanguageModel) -> None:
    prompts = ["Once upon a time"] * 400

    def drawn(temperature: float, seed: int) -> list[str]:
        made = generate(tiny, prompts, max_new_tokens=1, batch_size=150, temperature=temperature, seed=seed)
        return [g.text for g in made]

    assert drawn(1.0, 5) == drawn(1.0, 5) != drawn(1.0, 6)
    assert len(set(drawn(1.0, 5))) > len(set(drawn(0.3, 5))) > 1
    greedy = generate(tiny, prompts[:1], max_new_tokens=1)[0].text
    assert set(drawn(1e-4, 5)) == {greedy}
