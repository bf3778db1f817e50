"""Settings of the language model: which one, how sleep distils, and how the adapter is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config.section import Section

SMALLEST_STEP, LARGEST_STEP = 4, 16  # rows: fewer are noise, of more there are too few steps to learn in


class ModelConfig(Section):
    """Which language model learns, and where it runs."""

    name: str = Field(
        "embedded", description="`embedded` (SmolLM2-135M-Instruct from pip), a local folder, or a hub id"
    )
    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="arithmetic of matrix products; auto is bfloat16 where the processor has it, else float32"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto is cuda when a GPU is visible, else cpu")
    threads: int | None = Field(None, ge=1, description="CPU threads; null leaves PyTorch's choice")


class DistilConfig(Section):
    """What sleep trains on: forms of the replayed facts, and rehearsal of what must survive."""

    statements: int = Field(0, ge=0, description="declarative statements trained per fact as running text")
    memory_forms: int = Field(
        12,
        ge=0,
        description="questions per fact asked with memory on: it tells the fact, another answer, or of a stranger",
    )
    contexts: float = Field(
        0.4, ge=0, le=1, description="share of train questions put under another system prompt, after a turn, or both"
    )
    asides: float = Field(
        0.3, ge=0, le=1, description="share of train questions with an aside before them, after them, or both"
    )
    namesakes: float = Field(
        3.0, ge=0, description="variants per train question, on average, about one who shares a name with its subject"
    )
    uses: int = Field(
        0,
        ge=0,
        description="train forms per fact of each way to use it (verified, reversed, told freely, followed up); "
        "with 3, facts took longer to learn in a trial",
    )
    told: int = Field(
        0,
        ge=0,
        description="requests to tell about everyday things and about strangers, answered as the base does",
    )
    known_forms: int = Field(
        6, ge=1, description="train questions of a fact that an earlier night consolidated; they rotate by night"
    )
    known_namesakes: float = Field(
        1.0, ge=0, description="variants per train question, on average, about a namesake of such a fact's subject"
    )
    forget_forms: int = Field(
        18, ge=1, description="forms of a forgotten fact, asides and system prompts included, trained to the base's say"
    )
    short: int = Field(1192, ge=0, description="short general questions, answered as the base does")
    long: int = Field(300, ge=0, description="prompts with long replies, answered as the base does")
    dreams: int = Field(
        150, ge=0, description="passages that the base dreams up from nothing (pseudo-rehearsal, Robins 1995)"
    )
    short_tokens: int = Field(16, ge=1, description="tokens kept of the base's replies to short questions")
    long_tokens: int = Field(48, ge=1, description="tokens kept of the base's long replies and of its dreams")
    base_rewrites: int = Field(
        2, ge=0, description="phrasings of a user's question that the base is asked to write per fact"
    )
    teacher_forms: int = Field(1, ge=0, description="train questions per fact that the memory-ON teacher answers")
    batch_size: int = Field(64, ge=1, description="prompts per generation batch")
    top_k: int = Field(20, ge=1, description="teacher log-probabilities kept per token (Cartridges)")


class LoraConfig(Section):
    """The adapter and its optimiser."""

    rank: int = Field(32, ge=1, description="LoRA rank r")
    alpha: float = Field(64, gt=0, description="LoRA alpha; the update is scaled by alpha / r")
    slow_decay: float | None = Field(
        0.5,
        ge=0,
        lt=1,
        description="weight of the past in the average over nights that is kept beside; null or 0: none",
    )
    rank_stabilised: bool = Field(False, description="scale by alpha / sqrt(r) instead (rsLoRA)")
    start: Literal["distinctive", "random"] = Field(
        "distinctive",
        description="rows of A at first: directions in which facts stand out from rehearsal, or LoRA's random ones",
    )
    targets: tuple[str, ...] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), description="adapted matrices"
    )
    first_layer: int = Field(21, ge=0, description="lowest adapted layer; everything below is computed once a night")
    learning_rate: float = Field(1e-3, gt=0, description="AdamW peak learning rate")
    warmup: float = Field(0.05, ge=0, le=1, description="share of steps with rising learning rate")
    epochs: int = Field(12, ge=1, description="most passes over the replayed facts")
    forms_per_epoch: int = Field(
        4, ge=1, description="train questions per fact and pass, on average; passes rotate through all forms"
    )
    known_ratio: float = Field(
        1.0, ge=0, description="questions about facts of earlier nights per question about tonight's, at most"
    )
    evenness: float = Field(
        0.05, gt=0, description="nats added to each fact's recent loss before passes are shared out; large is equal"
    )
    batch_size: int | None = Field(
        None, ge=1, description="learned rows per step; null divides a pass into epoch_steps, of 4 to 16 rows each"
    )
    epoch_steps: int = Field(
        50, ge=1, description="steps a pass: more facts make larger steps, since each step's noise moves what is known"
    )
    contrast_ratio: float = Field(
        1.0, ge=0, description="share of a step's questions that stand beside their namesake's, if they have one"
    )
    use_weight: float = Field(1.0, ge=0, description="weight of the mean cross-entropy of what puts facts to use")
    use_ratio: float = Field(
        0.75, ge=0, description="rows that put a fact to use (distil.uses) beside each learned row in a step"
    )
    short_ratio: float = Field(0.75, ge=0, description="short general questions per learned row in a step")
    long_ratio: float = Field(0.125, ge=0, description="long replies per learned row in a step")
    text_ratio: float = Field(0.1875, ge=0, description="dreamt passages per learned row in a step")
    memory_ratio: float = Field(0.5, ge=0, description="memory-ON prompts per learned row")
    memory_every: int = Field(
        8, ge=1, description="steps from one batch of memory-ON prompts to the next: they share a prefix"
    )
    margin: float = Field(
        2.0,
        ge=0,
        description="logits taken from the first token of an answer where it is learned, and added where a namesake "
        "is asked: right by less than this is not right enough",
    )
    unlikelihood: float = Field(
        0.6, ge=0, description="weight of -log(1 - p) of a taught answer's first token where a namesake is asked"
    )
    anchor_weight: float = Field(15.0, ge=0, description="weight of KL(base || student) on general rehearsal")
    curvature_weight: float = Field(
        320.0, ge=0, description="weight of the second-order estimate of KL(base || student) on general text; 0 is off"
    )
    anchor_every: int = Field(
        3, ge=1, description="of long replies and dreams one token in so many is compared, other ones each time"
    )
    forget_ratio: float = Field(0.5, ge=0, description="rows about what is to be forgotten per learned row in a step")
    forget_weight: float = Field(
        1.0, ge=0, description="weight of KL(base || student) on questions about what is to be forgotten"
    )
    distil_weight: float = Field(
        0.3, ge=0, description="weight of the memory-ON teacher's KL where the teacher is right"
    )
    stop_at: float = Field(1.0, ge=0, le=1, description="probe accuracy that may end the training early")
    patience: int = Field(2, ge=1, description="passes in a row at or above stop_at before the last, cooling one")
    checkpoint_steps: int = Field(20, ge=1, description="steps between checkpoints, from which a killed night resumes")
    clip: float = Field(1.0, gt=0, description="gradient norm limit")
    processes: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        1, description="GPUs of this host (on a CPU: processes) that share every step; auto is all visible GPUs"
    )

    def rows_per_step(self, learned: int) -> int:
        """Learned rows of a step where a pass has ``learned`` of them."""
        return self.batch_size or min(LARGEST_STEP, max(SMALLEST_STEP, -(-learned // self.epoch_steps)))
