"""Settings of ``engram bench``: a section a bench, in the file of its name below configs/benchmarks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.config.emma import HolographicConfig, NeedleModelConfig
from pipeline.config.language import DistilConfig, LoraConfig, ModelConfig
from pipeline.config.memory import EncoderConfig, GateConfig, ReplayConfig, StoreConfig
from pipeline.config.needle_task import DataConfig
from pipeline.config.plasticity import UnsupervisedConfig
from pipeline.config.section import FilePath, Section
from pipeline.config.sleepwake import SleepWakeModelConfig, TitansConfig


class ReplayBenchConfig(Section):
    """Draws from a large store."""

    seed: int = Field(1337, ge=0, description="of the store's values and of the draws")
    rows: int = Field(10_000_000, ge=1, description="rows of the store")
    replay: ReplayConfig = Field(ReplayConfig(max_items=100_000), description="policy, weights and budget")
    oracle_rows: int = Field(12, ge=2, description="rows of the small store whose inclusion rates are known exactly")
    oracle_draws: int = Field(4_000, ge=1, description="draws from it, a night each, of a third of its rows")


class RecallBenchConfig(Section):
    """Queries to a large store."""

    seed: int = Field(1337, ge=0, description="of keys and queries")
    keys: int = Field(100_000, ge=1, description="episodes in the store")
    dimension: int = Field(384, ge=1, description="length of a key; 384 as of all-MiniLM-L6-v2")
    clusters: int = Field(2_000, ge=1, description="subjects that the keys gather around")
    spread: float = Field(0.8, ge=0, description="norm of a key's own part beside its cluster's, which is 1")
    noise: float = Field(0.6, ge=0, description="norm of what a query adds to the key that it is about, which is 1")
    queries: int = Field(1_000, ge=1, description="queries, asked one by one and all together")
    k: int = Field(10, ge=1, description="episodes wanted of every query")
    store: StoreConfig = Field(StoreConfig(), description="sparse code and number of candidates")


class StoreBenchConfig(Section):
    """A large store from the first row to one more night."""

    seed: int = Field(1337, ge=0, description="of keys, scores, queries and draws")
    rows: tuple[int, ...] = Field((100_000, 300_000, 1_000_000), min_length=1, description="episodes, a store each")
    dimension: int = Field(384, ge=1, description="length of a key; 384 as of all-MiniLM-L6-v2")
    clusters: int = Field(20_000, ge=1, description="subjects that the keys gather around")
    queries: int = Field(200, ge=1, description="queries, asked one by one; each is near the key of some episode")
    k: int = Field(10, ge=1, description="episodes wanted of every query")
    replay: ReplayConfig = Field(ReplayConfig(max_items=1_000), description="policy, weights and budget of the draw")
    store: StoreConfig = Field(StoreConfig(), description="sparse code and number of candidates; it has room for all")
    duckdb_memory: str = Field("4GB", description="limit of the peer's own memory")
    folder: str | None = Field(None, description="where the stores are written; null is the system's temporary folder")


class SleepBenchConfig(Section):
    """One training by three programs."""

    seed: int = Field(1337, ge=0, description="of facts, adapter and order of rows")
    facts: int = Field(12, ge=1, description="facts of the episodic suite; each gives lora.forms_per_epoch questions")
    evaluate_every: int = Field(9, ge=1, description="steps from one examination to the next, which are not timed")
    quality: float = Field(0.95, gt=0, le=1, description="EM on the trained questions at which a training ends")
    max_new_tokens: int = Field(12, ge=1, description="tokens of an answer at most")
    questions: int = Field(48, ge=1, description="trained questions that an examination asks, spread over the facts")
    model: ModelConfig = Field(ModelConfig(), description="the same for all")
    lora: LoraConfig = Field(LoraConfig(), description="adapter, rows a step, passes and learning rate, for all")


class ParallelBenchConfig(Section):
    """One night's training by one process and by several."""

    seed: int = Field(1337, ge=0, description="of facts, adapter and order of rows")
    facts: int = Field(128, ge=1, description="facts of the episodic suite, with all that a night trains beside them")
    processes: int = Field(2, ge=2, description="GPUs (on a CPU: processes) that are compared with a single one")
    warm_up: int = Field(32, ge=1, description="first steps, which are not timed: sizes are met for the first time")
    again: bool = Field(False, description="train with one process once more: how far do equal runs lie apart?")
    model: ModelConfig = Field(ModelConfig(), description="the same for both")
    distil: DistilConfig = Field(DistilConfig(), description="what is trained beside the facts")
    lora: LoraConfig = Field(LoraConfig(), description="adapter, rows a step, passes; lora.processes is not read")


class FuzzBenchConfig(Section):
    """Inputs that nobody would write."""

    seed: int = Field(1337, ge=1, description="of the fuzzer's choices")
    inputs: int = Field(8_000, ge=1, description="inputs through each way in")
    only: str = Field("", description="one way in; empty is all")
    seconds: int = Field(3_600, ge=1, description="of one way in at most")
    folder: FilePath | None = Field(None, description="keeps corpora and findings; null is a temporary folder")


class GateBenchConfig(Section):
    """A day of messages."""

    seed: int = Field(1337, ge=0, description="of the day")
    messages: int = Field(1_000, ge=1, description="of the whole day")
    worth: int = Field(100, ge=1, description="of them worth keeping")
    gate: GateConfig = Field(GateConfig(enforce=True), description="the gate that is examined")
    store: StoreConfig = Field(StoreConfig(), description="sparse code of the store")
    encoder: EncoderConfig = Field(EncoderConfig(), description="of the store's keys")
    model: ModelConfig = Field(ModelConfig(), description="whose surprise counts")


class PlasticityBenchConfig(Section):
    """One update of a layer's weights by its spikes."""

    seed: int = Field(1337, ge=0, description="of spikes and weights")
    before: int = Field(784, ge=1, description="neurons before the synapses; 784 as pixels of a digit")
    behind: int = Field(200, ge=1, description="neurons behind them")
    steps: int = Field(8, ge=1, description="time steps")
    samples: int = Field(64, ge=1, description="samples of a batch")
    rate: float = Field(0.1, gt=0, le=1, description="spikes a step on both sides; no way is faster for fewer")
    rounds: int = Field(3, ge=1, description="turns; ours take ten updates in each, the peer takes one")


class PeerBenchConfig(Section):
    """Two ways to compute the same, in turns."""

    seed: int = Field(1337, ge=0, description="of everything that is drawn")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto is cuda when a GPU is visible, else cpu")
    threads: int = Field(0, ge=0, description="of a CPU, for both; 0 leaves PyTorch's own number")
    rounds: int = Field(3, ge=1, description="turns, each way once in each, behind one that is not timed")


class NeedleBenchConfig(PeerBenchConfig):
    """One training step of the needle model, solved at once and position by position."""

    batch_size: int = Field(64, ge=1, description="sequences of a step")
    tolerance: float = Field(
        0.01, gt=0, description="how far loss and gradients may lie apart, as a share; both are solved exactly for it"
    )
    data: DataConfig = Field(DataConfig(), description="the task; its sizes are not read")
    model: NeedleModelConfig = Field(NeedleModelConfig(mem_dim=256), description="sizes of the network")
    memory: HolographicConfig = Field(HolographicConfig(), description="the memory of one sequence")


class TitansBenchConfig(PeerBenchConfig):
    """The associative memory of sequences, ours and titans-pytorch's."""

    batch: int = Field(4, ge=1, description="sequences")
    length: int = Field(512, ge=1, description="positions of each")
    tolerance: float = Field(1e-3, gt=0, description="how far reads and gradients may lie apart, as a share")
    memory: TitansConfig = Field(
        TitansConfig(dimension=128, chunk=32), description="its size and chunk; library and gradients are not read"
    )


class MuonBenchConfig(PeerBenchConfig):
    """One step of Muon on a byte model's matrices, ours and PyTorch's."""

    model: SleepWakeModelConfig = Field(SleepWakeModelConfig(), description="whose matrices are trained")
    tolerance: float = Field(
        0.03, gt=0, description="how far steps may lie apart, as a share; PyTorch's are rounded to three digits"
    )


class UnsupervisedBenchConfig(Section):
    """Images learned by STDP alone."""

    seeds: tuple[int, ...] = Field((1, 2, 3, 4, 5), min_length=1, description="of weights, order and spikes")
    dataset: Literal["mnist", "fashion-mnist"] = Field("mnist", description="which images")
    judged_by: Literal["test", "validation"] = Field("test", description="validation is what settings are chosen by")
    validation_images: int = Field(10_000, ge=1, description="last training images, which are never learned from")
    images: int | None = Field(None, ge=1, description="training images that are seen; null is all the others")
    layer: UnsupervisedConfig = Field(UnsupervisedConfig(), description="network, rule and rates")
