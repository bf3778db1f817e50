"""Image data sets, MNIST and FashionMNIST: found or fetched, checked by digest, kept as Parquet."""

from pipeline.images.content import SIDE
from pipeline.images.dataset import (
    ImageSet,
    Prepared,
    load_images,
    prepare_images,
    prepared_folder,
)
from pipeline.images.sources import idx_folder

__all__ = [
    "SIDE",
    "ImageSet",
    "Prepared",
    "idx_folder",
    "load_images",
    "prepare_images",
    "prepared_folder",
]
