"""How surprising a text is to the frozen model: what the write gate calls surprise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.language.likelihood import target_log_probs
from pipeline.language.models import LanguageModel
from pipeline.language.prompts import START
from pipeline.language.rows import TrainingRow


def token_surprise(
    lm: LanguageModel, texts: Sequence[str], *, context: str = "", prior: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float64]:
    """Mean −log p per token of each text after ``context``, its first token and the context not counted.

    The mean of a few tokens says little: "It depends." has a high one, and nothing to remember. ``prior`` counts as so
    many more tokens of so many nats, towards which the mean of a short text shrinks.

    Args:
        lm: The frozen base.
        texts: n texts of two tokens or more.
        context: Running text that is read first.
        prior: Tokens, and nats of each; none by default.

    Returns:
        (n,) nats per token.
    """
    tokens, usual = prior
    prompt = START + context.rstrip()
    rows = [TrainingRow(str(i), "text", "", "surprise", "train", prompt, " " + text) for i, text in enumerate(texts)]
    nats = [-(part[1:] if len(part) > 1 else part) for part in target_log_probs(lm, rows)]
    return np.array([float((n.sum() + tokens * usual) / (len(n) + tokens)) for n in nats], dtype=np.float64)
