"""The tiny model, shared or as a copy of one's own."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipeline.language import encoding
from pipeline.language.models import LanguageModel
from tests.language.tiny import tiny_language_model


@pytest.fixture(scope="session", autouse=True)
def short_prefixes_are_shared() -> Iterator[None]:
    """Sharing a prefix saves little with a few short rows; it is done all the same, to be tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "WORTHWHILE", 20)
        yield


@pytest.fixture(scope="session")
def tiny() -> LanguageModel:
    """Shared; nothing may change it."""
    return tiny_language_model()


@pytest.fixture
def own_tiny(tiny: LanguageModel) -> LanguageModel:
    """A copy that a test may change."""
    return replace(tiny, model=copy.deepcopy(tiny.model), tokenizer=copy.deepcopy(tiny.tokenizer))
