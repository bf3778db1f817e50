"""The shipped replies are those that the default configuration would have the embedded base write."""

from __future__ import annotations

import pytest

from pipeline.config.language import DistilConfig, ModelConfig
from pipeline.language.generation import generate
from pipeline.language.models import load_for_evaluation
from pipeline.language.targets import prompted, spread
from pipeline.suites.base_replies import MODEL, TOKENS, ReplyKind, shipped_replies
from pipeline.suites.rehearsal import RehearsalPrompt, load_rehearsal

CONFIG, BANK = DistilConfig(), load_rehearsal()
PROMPTS: dict[ReplyKind, tuple[RehearsalPrompt, ...]] = {"short": BANK.short, "long": BANK.long}


def test_they_cover_the_default_night() -> None:
    assert {"short": CONFIG.short_tokens, "long": CONFIG.long_tokens, "dream": CONFIG.long_tokens} == TOKENS
    for kind, count in (("short", CONFIG.short), ("long", CONFIG.long)):
        chosen = spread(PROMPTS[kind], count)
        assert shipped_replies(kind, MODEL, TOKENS[kind]).keys() == {prompt.id for prompt in chosen}
    dreams = shipped_replies("dream", MODEL, TOKENS["dream"])
    assert list(dreams) == [str(number) for number in range(CONFIG.dreams)]
    assert len({dream.text for dream in dreams.values()}) == CONFIG.dreams


@pytest.mark.parametrize(("model", "tokens"), [("0" * 16, 16), (MODEL, 15)])
def test_another_model_or_length_finds_none(model: str, tokens: int) -> None:
    assert not shipped_replies("short", model, tokens)


@pytest.mark.model
def test_the_embedded_base_writes_them() -> None:
    """A borderline token may fall the other way on another processor; most replies may not."""
    lm = load_for_evaluation(ModelConfig())
    assert lm.digest == MODEL
    prompts = spread(BANK.short, CONFIG.short)[::40]
    made = generate(lm, [prompted(lm, p) for p in prompts], max_new_tokens=TOKENS["short"])
    known = shipped_replies("short", MODEL, TOKENS["short"])
    same = [known[p.id].text == g.text and known[p.id].whole != g.overlong for p, g in zip(prompts, made, strict=True)]
    assert sum(same) >= 9, same
