"""Meta-plasticity: performance decides what a controller does, and each finds what lowers a known loss."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.config.liquid import LiquidModelConfig
from pipeline.plasticity.meta import CONTROLLERS, MetaController, Multiples, Observation, new_controller

STEERED = ("learning_rate", "a_plus")
NAMES = CONTROLLERS.names()


def made(name: str, seed: int = 0, **settings: float) -> MetaController:
    config = LiquidModelConfig.model_validate({"meta_controller": name, **settings})
    return new_controller(config, STEERED, 2, seed)


def no_look(multiples: Multiples) -> Tensor:
    return sum(value.log().square().sum() for value in multiples.values()) * torch.ones(())  # type: ignore[return-value]


def trained(controller: MetaController, wanted: float, turns: int) -> float:
    """Multiples of the learning rate near ``wanted`` let the held-out loss fall most; returns the last one."""

    def loss_after(multiples: Multiples) -> Tensor:
        return (multiples["learning_rate"].log() - torch.tensor(wanted).log()).square().mean()

    loss = 100.0
    for _ in range(turns):
        loss -= 1.0 - float(loss_after(controller.multiples()))
        controller.observe(Observation(0.5, loss, 0.0), loss_after)
    found = [float(controller.multiples()["learning_rate"].log().mean()) for _ in range(1)]
    return float(torch.tensor(found).mean().exp())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wanted", [0.25, 4.0])
def test_a_controller_finds_what_lowers_the_held_out_loss(name: str, wanted: float) -> None:
    if name == "bandit":  # it goes on exploring: what it plays most
        controller = made(name, meta_lr=0.5)
        trained(controller, wanted, 600)
        from pipeline.plasticity.controllers.bandit import ARMS, BanditController

        assert isinstance(controller, BanditController)
        assert ARMS[int(controller.probabilities().argmax())] == wanted
        return
    turns, rate = {"evolution": (600, 0.1), "unrolled": (300, 0.05)}[name]
    found = trained(made(name, meta_lr=rate), wanted, turns)
    assert wanted / 2 < found < wanted * 2


@pytest.mark.parametrize("name", NAMES)
def test_performance_changes_its_decisions(name: str) -> None:
    """Two controllers see the same but for how the held-out images fare; a constant controller fails here."""
    decisions = []
    for better in (True, False):
        controller = made(name, meta_lr=0.5)
        taken = []
        for turn in range(30):
            loss = 2.0 - 0.05 * turn if better else 2.0 + 0.03 * turn * (turn % 3)
            controller.observe(Observation(0.9 if better else 0.1, loss, 0.01), no_look_at(loss))
            taken.append(torch.stack(list(controller.multiples().values())))
        decisions.append(torch.stack(taken))
    assert not torch.allclose(*decisions)


def no_look_at(loss: float):  # type: ignore[no-untyped-def]
    return lambda multiples: loss * no_look(multiples) + (loss - 1.5) * multiples["learning_rate"].sum()


@pytest.mark.parametrize("name", NAMES)
def test_multiples_stay_within_an_eighth_and_eight_times(name: str) -> None:
    controller = made(name, meta_lr=50.0)
    for turn in range(40):
        controller.observe(Observation(0.5, float(turn % 5), 0.0), lambda m: -m["a_plus"].sum())
        for value in controller.multiples().values():
            assert value.shape == (2,) and (value >= 0.12).all() and (value <= 8.01).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_restored_decides_alike(name: str) -> None:
    one, other = made(name, seed=1), made(name, seed=2)

    def see(controller: MetaController, turn: int) -> None:
        controller.observe(Observation(0.5, 1.0 / (turn + 1), 0.0), lambda m: m["a_plus"].sum())

    for turn in range(7):
        see(one, turn)
    other.restore({key: value.clone() for key, value in one.state().items()})
    for turn in range(7, 20):
        see(one, turn)
        see(other, turn)
        assert all(torch.equal(one.multiples()[key], other.multiples()[key]) for key in STEERED)


def test_history_is_bounded_and_in_order() -> None:
    from pipeline.plasticity.controllers.unrolled import UnrolledController

    controller = made("unrolled", meta_history_length=5)
    assert isinstance(controller, UnrolledController)
    for turn in range(9):
        controller.observe(Observation(turn / 10, 1.0, 0.0), lambda m: m["a_plus"].sum())
    assert controller.history[:, 0].tolist() == pytest.approx([0.4, 0.5, 0.6, 0.7, 0.8])
