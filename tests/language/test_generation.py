"""Batched greedy decoding gives what transformers' own greedy decoding gives, row by row."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.language.generation import generate
from pipeline.language.models import LanguageModel
from tests.language.examples import tokens_of

TOKENS = 10
STARTS = ("", "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n", "Fact: It rained. ")
texts = st.text(st.sampled_from("abc deHMW?.\n"), min_size=1, max_size=40)
prompts = st.lists(st.builds(lambda start, text: start + text, st.sampled_from(STARTS), texts), min_size=1, max_size=6)


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


@settings(max_examples=12)
@given(prompts=prompts, batch_size=st.integers(1, 5), stop=st.integers(0, 3))
def test_generations_equal_those_of_transformers(
    own_tiny: LanguageModel, prompts: list[str], batch_size: int, stop: int
) -> None:
    lm, free = own_tiny, [reference(own_tiny, prompt) for prompt in prompts]
    often = Counter(token for tokens in free for token in tokens[2:]).most_common()
    lm.tokenizer.eos_token = lm.tokenizer.convert_ids_to_tokens(often[stop % len(often)][0])  # so that rows end
    end = lm.tokenizer.eos_token_id
    made = generate(lm, prompts, max_new_tokens=TOKENS, batch_size=batch_size)
    for tokens, generation in zip(free, made, strict=True):
        expected = tokens[: tokens.index(end) + 1] if end in tokens else tokens
        assert generation.new_tokens == len(expected)
        assert generation.text == lm.tokenizer.decode(expected, skip_special_tokens=True).strip()
        assert generation.overlong == (len(expected) == TOKENS and expected[-1] != end)


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
