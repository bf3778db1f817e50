"""Experts of a frozen byte model: scales of singular values, learned by cross-entropy or REINFORCE; LoRA beside them.

adapted = AdaptedModel(base, cache, config.svf)       equal to the base while all scales are one
scales = train_expert(adapted, problems, config, seed)
adapted.use(scales)

Sun et al. 2025 (Transformer²), arXiv:2501.06252. REINFORCE: Williams 1992, doi:10.1007/BF00992696, with the
mean reward of the other samples as baseline (Kool et al. 2019). LoRA: Hu et al. 2021, arXiv:2106.09685, by peft.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import peft
import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, pad

from pipeline.config.sleepwake import SvfConfig
from pipeline.config.sleepwake_parts import ExpertsConfig
from pipeline.sleepwake.arithmetic import Problem
from pipeline.sleepwake.arithmetic_training import continuations, examples, response_loss
from pipeline.sleepwake.byte_model import BEGIN, END, ByteModel
from pipeline.sleepwake.svf import SingularValueLinear, SvdCache, checkpoint_digest

_LONGEST = 6  # tokens of an answer, END included
_ALPHA = 8


class AdaptedModel(nn.Module):
    """A frozen copy of a byte model whose linear layers have scales.

    Args:
        base: Left as it is.
        cache: Of decompositions; those of other checkpoints are dropped from it, so that a base that changed, as in a
            sleep, is decomposed anew.
        config: Whether the sum of singular values is kept.
    """

    def __init__(self, base: ByteModel, cache: SvdCache, config: SvfConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpoint = checkpoint_digest(base.state_dict())
        self.model = copy.deepcopy(base).requires_grad_(False).eval()
        cache.keep_only(self.checkpoint)
        self.layers: list[SingularValueLinear] = []
        for name, layer in list(self.model.named_modules()):
            if isinstance(layer, nn.Linear):
                parts = cache.decompose(self.checkpoint, f"{name}.weight", layer.weight)
                adapted = SingularValueLinear(layer, parts, config)
                parent, _, child = name.rpartition(".")
                setattr(self.model.get_submodule(parent), child, adapted)
                self.layers.append(adapted)

    @property
    def scales(self) -> Tensor:
        """All scales, (Z,)."""
        return torch.cat([layer.scales.detach() for layer in self.layers])

    def use(self, scales: Tensor | None) -> None:
        """Take the scales (Z,) of an expert, or ones, with which this is the base."""
        place = 0
        with torch.no_grad():
            for layer in self.layers:
                count = len(layer.scales)
                layer.scales.copy_(torch.ones_like(layer.scales) if scales is None else scales[place : place + count])
                place += count

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, L, V) of the token behind each of token ids (B, L)."""
        logits: Tensor = self.model(tokens)
        return logits

    def of_bytes(self, values: Tensor) -> Tensor:
        """As `ByteModel.of_bytes`."""
        logits: Tensor = self.model.of_bytes(values)
        return logits


def low_rank(base: ByteModel, seed: int) -> ByteModel:
    """A frozen copy of a base with a LoRA of rank 1 on its attention: as many parameters as there are scales.

    Four matrices of a block have W singular values each; rank 1 on W → 3 W has 4 W.
    """
    settings = peft.LoraConfig(r=1, lora_alpha=_ALPHA, target_modules=["attention"], lora_dropout=0.0)
    model = copy.deepcopy(base).requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found: ByteModel = peft.inject_adapter_in_model(settings, model)
    return found


def learned_parameters(model: nn.Module) -> int:
    """How many numbers of a model learn."""
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def train_supervised(
    model: ByteModel | AdaptedModel,
    problems: Sequence[Problem],
    steps: int,
    batch: int,
    lr: float,
    seed: int,
    told: Callable[[], None] = lambda: None,
) -> None:
    """Train in place whatever of a model learns by the cross-entropy of answers."""
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=lr, weight_decay=0.0)
    generator, device = torch.Generator().manual_seed(seed), next(model.parameters()).device
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        rows = torch.randint(len(problems), (batch,), generator=generator).tolist()
        tokens, counted = (part.to(device) for part in examples([problems[row] for row in rows], working=False))
        loss = response_loss(model, tokens, counted)  # type: ignore[arg-type]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        told()


def train_by_reward(
    model: AdaptedModel,
    base: ByteModel,
    problems: Sequence[Problem],
    config: ExpertsConfig,
    seed: int,
    told: Callable[[], None] = lambda: None,
) -> float:
    """Train the scales in place by REINFORCE; the mean reward of the last tenth of steps.

    The reward is 1 if the answer is right, else 0. Minimised is −advantage · ln p(answer) + kl · KL(expert ‖ base).
    """
    optimizer = torch.optim.AdamW([layer.scales for layer in model.layers], lr=config.lr, weight_decay=0.0)
    device = base.embedding.weight.device
    generator = torch.Generator(device).manual_seed(seed)
    groups: dict[int, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(len(problem.question), []).append(problem)
    lengths, rewards = torch.tensor([len(group) for group in groups.values()]).float(), list[float]()
    chooser = torch.Generator().manual_seed(seed)
    for step in range(config.reinforce_steps):
        optimizer.param_groups[0]["lr"] = config.lr * (1 - step / config.reinforce_steps)
        group = list(groups.values())[int(torch.multinomial(lengths, 1, generator=chooser))]
        rows = torch.randint(len(group), (config.batch // config.samples,), generator=chooser).tolist()
        asked = [group[row] for row in rows for _ in range(config.samples)]
        prompts = torch.tensor([[BEGIN, *one.question.encode()] for one in asked], device=device)
        tokens = sampled(model, prompts, generator)
        answers = tokens[:, prompts.shape[1] :]
        reward = torch.tensor(
            [float(_text(row) == one.answer) for row, one in zip(answers.tolist(), asked, strict=True)], device=device
        )
        loss = reinforce_loss(model, base, tokens, prompts.shape[1], advantages(reward, config.samples), config.kl)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rewards.append(float(reward.mean()))
        told()
    last = rewards[-max(1, len(rewards) // 10) :]
    return sum(last) / len(last)


def advantages(reward: Tensor, samples: int) -> Tensor:
    """Each reward (N,) less the mean of the other samples of its question, which stand side by side."""
    groups = reward.view(-1, samples)
    others = (groups.sum(1, keepdim=True) - groups) / (samples - 1)
    return (groups - others).flatten()


@torch.no_grad()
def sampled(model: AdaptedModel, prompts: Tensor, generator: torch.Generator) -> Tensor:
    """Token ids of prompts (B, L) with answers drawn behind them; behind ``END`` everything is ``END``."""
    tokens, over = prompts, torch.zeros(len(prompts), dtype=torch.bool, device=prompts.device)
    for _ in range(_LONGEST):
        shares = model(tokens)[:, -1].softmax(-1)
        following = torch.multinomial(shares, 1, generator=generator)[:, 0].masked_fill(over, END)
        tokens = torch.cat([tokens, following[:, None]], 1)
        over = over | (following == END)
    return tokens


def reinforce_loss(
    model: AdaptedModel, base: ByteModel, tokens: Tensor, asked: int, advantage: Tensor, weight: float
) -> Tensor:
    """The loss of sampled answers, a scalar.

    Args:
        model: The expert.
        base: What it should stay near.
        tokens: Prompts and answers, (B, L).
        asked: Tokens of a prompt.
        advantage: Of every answer, (B,).
        weight: Of the mean KL(expert ‖ base) a token, in nats.
    """
    answers = tokens[:, asked:]
    log_shares = model(tokens[:, :-1])[:, asked - 1 :].log_softmax(-1)
    with torch.no_grad():
        base_shares = base(tokens[:, :-1])[:, asked - 1 :].log_softmax(-1)
    counted = pad((answers == END).long().cumsum(1)[:, :-1] == 0, (1, 0), value=True)  # up to the first END
    chosen = log_shares.gather(-1, answers[..., None])[..., 0]
    divergence = kl_div(base_shares, log_shares, reduction="none", log_target=True).sum(-1)
    policy = -(advantage * (chosen * counted).sum(1)).mean()
    loss: Tensor = policy + weight * (divergence * counted).sum() / counted.sum()
    return loss


def accuracy(model: nn.Module, problems: Sequence[Problem]) -> float:
    """Share of problems that are answered right, greedily."""
    texts = continuations(model, [problem.question for problem in problems], _LONGEST)
    return sum(text == problem.answer for text, problem in zip(texts, problems, strict=True)) / len(problems)


def _text(tokens: list[int]) -> str:
    ended = tokens[: tokens.index(END)] if END in tokens else tokens
    return bytes(token for token in ended if token < 256).decode("latin-1")
