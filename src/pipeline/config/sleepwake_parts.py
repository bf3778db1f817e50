"""Settings of the parts beside the memory: pictures as codes, latent patches, experts, arithmetic."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.config.section import Section
from pipeline.config.sleepwake import ByteModelConfig, ByteTrainConfig, PatchConfig, SvfConfig


class CodebookConfig(Section):
    """A VQ-VAE whose every code stands for a square of 4 × 4 pixels and what lies around it.

    Van den Oord et al. 2017, arXiv:1711.00937; codes compared by cosine and dead ones replaced as in Yu et al. 2022,
    arXiv:2110.04627.
    """

    data: Literal["fashion-mnist", "mnist"] = Field("fashion-mnist", description="which images")
    codes: int = Field(256, ge=2, description="K, vectors in the codebook")
    dimension: int = Field(16, ge=2, description="of a code's vector")
    width: int = Field(64, ge=8, description="channels of encoder and decoder")
    blocks: int = Field(2, ge=0, description="residual blocks of the encoder, and of the decoder")
    steps: int = Field(3000, ge=1, description="optimiser steps")
    warmup: int = Field(
        300, ge=0, description="of these the first without codes, so that codes begin in a useful space"
    )
    batch: int = Field(64, ge=1, description="images a step")
    lr: float = Field(2e-3, gt=0, description="highest learning rate, behind it half a cosine to zero")
    commitment: float = Field(
        25.0, ge=0, description="weight of the distance of an encoding from its code, times the error of reconstruction"
    )
    decay: float = Field(0.99, gt=0, lt=1, description="of the moving average that moves a code to its encodings")
    dead_below: int = Field(2, ge=0, description="a code whose average uses a batch fall below this is drawn anew")
    validation: int = Field(5000, ge=100, description="images kept from training, by which settings are chosen")


class DecisionConfig(Section):
    """When a question is pictured; the limits are the seed document's."""

    threshold: float = Field(0.5, ge=0, le=1, description="least probability that pictures help; the document has .7")
    max_pictures: int = Field(5, ge=0, description="pictures a question at most")
    min_tokens_between: int = Field(20, ge=0, description="tokens since the last picture at least")
    margin: float = Field(0.05, ge=0, description="nats by which pictures must lower the answer's loss to be worth it")
    questions: int = Field(600, ge=10, description="training questions whose answers are labelled with and without")
    steps: int = Field(300, ge=1, description="optimiser steps on these")
    lr: float = Field(3e-3, gt=0, description="learning rate")
    hidden: int = Field(32, ge=1, description="width of its one hidden layer")


class PicturesConfig(Section):
    """Walks in a maze that are answered with and without pictures of every step (arXiv:2501.07542)."""

    codebook: CodebookConfig = Field(
        CodebookConfig(codes=16, dimension=8, width=32, blocks=0, steps=600, warmup=100, lr=4e-3, validation=500),
        description="of pictures of mazes; data is ignored",
    )
    model: ByteModelConfig = Field(
        ByteModelConfig(width=64, layers=3, heads=2, hidden=256, context=264), description="sizes of the network"
    )
    most_steps: int = Field(3, ge=1, le=4, description="actions of a walk: from one to this many")
    walks: int = Field(4000, ge=10, description="training walks of each length")
    steps: int = Field(1500, ge=1, description="optimiser steps of the model with pictures")
    batch: int = Field(16, ge=1, description="walks a step that are pictured, and that are answered directly")
    lr: float = Field(3e-3, gt=0, description="highest learning rate, behind it half a cosine")
    curriculum: float = Field(0.4, ge=0, lt=1, description="share of steps in which longer walks come in one by one")
    changed: float = Field(
        0.3, ge=0, le=1, description="weight of the codes, about 2 of 49, that differ from the picture before"
    )
    discrepancy: float = Field(0.1, ge=0, description="weight of the token-discrepancy loss")
    tested: int = Field(200, ge=10, description="held-out walks of each length")
    decision: DecisionConfig = Field(DecisionConfig(), description="when a question is pictured")


class ArithmeticConfig(Section):
    """A byte model that answers arithmetic, with the steps written out or without."""

    model: ByteModelConfig = Field(
        ByteModelConfig(width=96, layers=3, heads=4, hidden=384, context=96), description="sizes of the network"
    )
    operations: tuple[Literal["+", "-", "*", "/"], ...] = Field(
        ("+", "-"), min_length=1, description="those that are learned and asked"
    )
    largest: int = Field(
        100, ge=20, description="largest operand of + and - that is learned; small ones alone would be learned by heart"
    )
    table: int = Field(20, ge=2, description="likewise of *, and of divisors and quotients")
    asked: Literal["basic", "medium", "advanced"] = Field("basic", description="the level of held-out questions")
    steps: int = Field(1200, ge=1, description="optimiser steps with the steps of a calculation written out")
    batch: int = Field(64, ge=1, description="problems a step, all of one operation")
    lr: float = Field(3e-3, gt=0, description="highest learning rate, behind it half a cosine")
    weight_decay: float = Field(0.1, ge=0, description="of matrices")
    tested: int = Field(400, ge=1, description="held-out problems of an operation at most; basic has fewer")


class LatentConfig(Section):
    """A transformer over patches between a local encoder and decoder of bytes (arXiv:2412.09871, section 3)."""

    local: ByteModelConfig = Field(
        ByteModelConfig(width=64, layers=1, heads=2, hidden=256, context=192),
        description="encoder and decoder of bytes: so many layers each; context is the bytes of a sequence",
    )
    latent: ByteModelConfig = Field(
        ByteModelConfig(width=160, layers=4, heads=5, hidden=640, context=192),
        description="transformer over patches; context is unused, there are at most as many patches as bytes",
    )
    byte: ByteModelConfig = Field(
        ByteModelConfig(width=128, layers=4, heads=4, hidden=512, context=192), description="the byte baseline"
    )
    patcher: ByteModelConfig = Field(
        ByteModelConfig(width=48, layers=1, heads=2, hidden=192, context=192), description="whose entropies cut patches"
    )
    patches: PatchConfig = Field(PatchConfig(), description="where patches begin")
    train: ByteTrainConfig = Field(
        ByteTrainConfig(steps=500, batch=8, lr=3e-3), description="of the latent model; others follow by their compute"
    )
    patcher_steps: int = Field(300, ge=1, description="optimiser steps of the patcher")
    measured_bytes: int = Field(50_000, ge=2_000, description="held-out bytes by which bits a byte are measured")


class ExpertsConfig(Section):
    """Experts by singular values over a frozen byte model, one for each operation of arithmetic (arXiv:2501.06252)."""

    model: ByteModelConfig = Field(
        ByteModelConfig(width=64, layers=3, heads=2, hidden=256, context=32), description="sizes of the base"
    )
    svf: SvfConfig = Field(SvfConfig(), description="whether the sum of singular values is kept")
    level: Literal["basic", "medium", "advanced"] = Field(
        "medium", description="size of the numbers; basic has 40 tests"
    )
    base_steps: int = Field(600, ge=1, description="optimiser steps of the base on all operations, before it is frozen")
    steps: int = Field(300, ge=1, description="optimiser steps of an expert, and of the low-rank adapter beside it")
    batch: int = Field(64, ge=1, description="problems a step")
    base_lr: float = Field(3e-3, gt=0, description="learning rate of the base")
    lr: float = Field(0.02, gt=0, description="learning rate of the scales")
    lora_lr: float = Field(0.01, gt=0, description="learning rate of the low-rank adapter")
    reinforce_steps: int = Field(150, ge=1, description="optimiser steps of an expert by REINFORCE")
    samples: int = Field(
        4, ge=2, description="answers sampled to each question; the others' mean reward is the baseline"
    )
    kl: float = Field(
        0.1, ge=0, description="weight of KL(expert || base) by REINFORCE, nats a token; the paper has 0 to 0.3"
    )
    dispatch_steps: int = Field(200, ge=1, description="optimiser steps of the dispatcher")
    tested: int = Field(400, ge=1, description="held-out problems of an operation at most")


PartName = Literal["codebook", "pictures", "patches", "experts", "arithmetic"]


class PartsConfig(Section):
    """Which components are trained and measured beside the model, each against its own off-switch."""

    measured: tuple[PartName, ...] = Field(
        (),
        strict=False,
        description="codebook: pictures as codes, against principal components; pictures: walks answered with and "
        "without them; patches: latent patches against bytes; experts: singular values, REINFORCE, LoRA; arithmetic: "
        "with its steps written out and without; three to ten minutes each on a CPU",
    )
    codebook: CodebookConfig = Field(CodebookConfig(), description="of the part codebook")
    pictures: PicturesConfig = Field(PicturesConfig(), description="of the part pictures")
    patches: LatentConfig = Field(LatentConfig(), description="of the part patches")
    experts: ExpertsConfig = Field(ExpertsConfig(), description="of the part experts")
    arithmetic: ArithmeticConfig = Field(ArithmeticConfig(), description="of the part arithmetic")
