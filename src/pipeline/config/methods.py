"""Settings of ``engram bench methods``."""

from __future__ import annotations

from pydantic import Field

from pipeline.config.examination import EvaluationConfig
from pipeline.config.language import DistilConfig, LoraConfig, ModelConfig
from pipeline.config.memory import EncoderConfig, StoreConfig
from pipeline.config.section import Section


class RecipeConfig(Section):
    """What may differ between the rivals' trainings."""

    learning_rate: float = Field(1e-3, gt=0, description="AdamW peak learning rate")
    passes: int | None = Field(None, ge=1, description="passes over the method's rows; null is the budget's")


class MethodsBenchConfig(Section):
    """The same facts, learned by every method."""

    methods: tuple[str, ...] = Field((), description="which methods run, by name; none means all")
    suite: str = Field("v1", description="frozen suite whose facts are learned and asked")
    facts: int = Field(50, ge=1, description="first facts of the suite")
    passes: int = Field(12, ge=1, description="passes over a method's training rows; of the night, at most")
    seed: int = Field(1337, ge=0, description="of adapters, orders and draws")
    model: ModelConfig = Field(ModelConfig(), description="the base of all")
    lora: LoraConfig = Field(LoraConfig(), description="the night's adapter; its form is also that of plain_sft")
    distil: DistilConfig = Field(DistilConfig(), description="what the night makes of the facts")
    batch_size: int | None = Field(None, ge=1, description="rows a step of every rival; null is the night's own rule")
    recipes: dict[str, RecipeConfig] = Field({}, description="learning rate and passes by method")
    prefix_tokens: int = Field(32, ge=1, description="virtual tokens of prefix")
    edits: int = Field(4, ge=1, description="lists of implications that the base writes per fact for self_edits")
    edit_tokens: int = Field(160, ge=1, description="tokens of such a list at most")
    reply_tokens: int = Field(16, ge=1, description="tokens of a reply that sdft draws from the student at most")
    encoder: EncoderConfig = Field(EncoderConfig(), description="of rag's keys")
    store: StoreConfig = Field(StoreConfig(), description="of rag")
    evaluation: EvaluationConfig = Field(
        EvaluationConfig(controls="full"), description="how all are asked; full asks every question"
    )

    def recipe(self, method: str) -> RecipeConfig:
        """The method's own, or the default one."""
        return self.recipes.get(method, RecipeConfig())

    def rows_per_step(self, rows: int) -> int:
        """Rows of a step of a rival that has ``rows`` of them in a pass."""
        return self.batch_size or self.lora.rows_per_step(rows)
