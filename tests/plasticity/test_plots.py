"""What plots show of answers and neurons."""

from __future__ import annotations

import pyarrow as pa
import torch

from pipeline.plasticity.protocol import ReceptiveFields
from pipeline.plasticity.report.plots import Learned, confusion_plot, receptive_fields_plot

ANSWERS = pa.table({"task": [1] * 4, "row": range(4), "answer": [0, 2, 2, 2], "gold": [0, 0, 2, 2]})


def test_answers_are_counted_by_true_class() -> None:
    figure = confusion_plot(Learned(ANSWERS, None))
    assert figure is not None
    axes = figure.axes[0]
    told = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert told == {(0, 0): "1", (2, 0): "1", (2, 2): "2"}  # answer, true class
    assert axes.images[0].get_array()[0].tolist() == [0.5, 0, 0.5]


def test_receptive_fields_are_images_in_the_order_of_their_classes() -> None:
    weights = torch.zeros(3, 4)
    weights[0, 0], weights[1, 1], weights[2] = 0.5, 0.25, torch.tensor([0.1, 0.2, 0.3, 0.4])
    figure = receptive_fields_plot(Learned(ANSWERS, ReceptiveFields(weights, torch.tensor([2, 0, 1]))))
    assert figure is not None
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["0", "1", "2"]
    grid = axes.images[0].get_array()
    assert grid[:2, :2].tolist() == [[0, 1], [0, 0]] and grid[:2, 6:8].tolist() == [[1, 0], [0, 0]]
    assert grid[1, 4] == 1 and grid[0, 3] == torch.tensor(0.25) and bool(grid.mask[:, 2].all())


def test_a_hundred_neurons_are_shown_at_most_and_none_where_nobody_sees_pixels() -> None:
    fields = ReceptiveFields(torch.rand(130, 4), torch.zeros(130, dtype=torch.int64))
    figure = receptive_fields_plot(Learned(ANSWERS, fields))
    assert figure is not None and len(figure.axes[0].texts) == 100
    assert "100 of 130" in figure.axes[0].get_title(loc="left")
    assert receptive_fields_plot(Learned(ANSWERS, None)) is None
