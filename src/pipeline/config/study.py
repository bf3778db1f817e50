"""Settings of self-study: what the sleeper writes about texts that came without questions."""

from __future__ import annotations

from pydantic import Field

from pipeline.config.section import Section


class StudyConfig(Section):
    """What is written about each passage, and about each fact without questions, before it is trained."""

    generator: str = Field(
        "self", description="who writes: `self`, the sleeping model, or another model: a local folder or a hub id"
    )
    spans: int = Field(24, ge=0, description="dates, numbers, names and phrases of a passage that are asked about")
    questions: int = Field(12, ge=0, description="questions that the generator is asked to write per passage; 0 is off")
    rewrites: int = Field(3, ge=0, description="sentences per passage that the generator is asked to say anew")
    implications: int = Field(3, ge=0, description="sentences per passage of which it is asked what follows")
    clozes: int = Field(1, ge=0, le=1, description="gap texts per span, by rule: its sentence with the span left out")
    keywords: int = Field(
        2, ge=0, description="keyword queries per span, by rule: a question word and some words of its sentence"
    )
    held_back: int = Field(2, ge=0, description="keyword queries per passage that decide early stopping")
    agreement: float = Field(
        0.66, gt=0, le=1, description="token F1 between the answer and that of a second ask with the evidence, at least"
    )
    support: float = Field(
        0.3, description="nats per token by which the evidence must make a rewrite or an implication likelier"
    )
    tokens: int = Field(32, ge=1, description="token limit of what the generator writes")
    batch_size: int = Field(64, ge=1, description="prompts per generation batch")
