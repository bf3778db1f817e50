"""A coverage-guided campaign of one way in, in a process of its own, which atheris ends.

    python -m pipeline.fuzzing.campaign WAY INPUTS SEED FOLDER

Atheris (Google) feeds libFuzzer with the coverage of Python code; of the fuzzers for Python it is the one that is kept:
python-afl and pythonfuzz have not been released for years. Findings do not end the campaign; each kind is kept once,
with its input, in FOLDER, beside ``figures.json``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

LARGEST = 4096
"""Bytes of an input at most."""
OPTIONS = ("-timeout=600", "-rss_limit_mb=0", "-verbosity=0", "-detect_leaks=0")
"""Of libFuzzer: `examine` limits the time of an input, libFuzzer ends what even that cannot stop."""


def main(name: str, inputs: int, seed: int, folder: Path) -> None:
    """Try so many inputs, then write the figures and end the process.

    Args:
        name: Of the way in.
        inputs: How many.
        seed: Of libFuzzer's choices.
        folder: Receives ``figures.json``, the corpus, and an input for every finding.
    """
    import atheris

    with atheris.instrument_imports(include=["pipeline", "json", "yaml", "markdown_it"]):
        from pipeline.fuzzing.examine import examine
        from pipeline.fuzzing.targets import WAYS

        way = WAYS[name]
        with tempfile.TemporaryDirectory() as scratch:  # imports what it needs
            examine(way, b"", Path(scratch) / "in", 120.0)
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(SEEDS):
        (corpus / f"seed-{number}").write_bytes(text)
    shelf = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
    place = Path(tempfile.mkdtemp(prefix="engram-fuzz-", dir=shelf))
    found: dict[tuple[str, ...], dict[str, str]] = {}
    count, slowest, started = 0, 0.0, time.monotonic()

    def one(data: bytes) -> None:
        nonlocal count, slowest
        before = time.process_time()
        finding = examine(way, data, place / "in")
        slowest = max(slowest, time.process_time() - before)
        count += 1
        if finding is not None and finding.key not in found:
            kept = folder / f"finding-{len(found)}"
            kept.write_bytes(way.compose(data))
            found[finding.key] = {
                "kind": finding.kind,
                "what": finding.what,
                "where": finding.where,
                "input": kept.name,
            }
        if count >= inputs:
            figures = {"inputs": count, "seconds": time.monotonic() - started, "slowest_s": slowest}
            told = {**figures, "corpus": len(list(corpus.iterdir())), "findings": list(found.values())}
            (folder / "figures.json").write_text(json.dumps(told, indent=2) + "\n")

            shutil.rmtree(place, ignore_errors=True)
            sys.stderr.flush()
            os._exit(0)  # libFuzzer never returns

    options = [f"-seed={seed}", f"-max_len={LARGEST}", f"-artifact_prefix={folder}/", *OPTIONS]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


SEEDS = (
    b"",
    b"\x00" * 64,
    bytes(range(256)),
    b'\x03{"id": "f1", "text": "On Friday Mona Hale bought a lantern at the harbour.", "questions": '
    b'[{"question": "Where did Mona Hale buy the lantern?", "answer": "harbour", "split": "train"}]}\n',
    b'\x03{"role": "user", "content": "Where did I park?"}\n{"role": "assistant", "content": "At the harbour."}\n',
    b"\x03# Trip\n\n- a list\n\n| a | b |\n|---|---|\n| 1 | [x](y) |\n",
    b"seed: 3\ngate: {enforce: true, threshold: 1e-3}\nencoder: &a {name: x}\nstore: *a\n",
    b"gate.threshold=[1, 2, {a: !!python/object:os.system x}]",
    b'{"peft_type": "LORA", "r": 8, "target_modules": ["q_proj"], "auto_mapping": {"parent_library": "os"}}',
    (72).to_bytes(8, "little") + b'{"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}                ' + bytes(8),
)


if __name__ == "__main__":
    if find_spec("atheris") is None:
        raise SystemExit("atheris is not installed")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
