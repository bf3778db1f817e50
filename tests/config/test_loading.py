"""Loading: defaults, files that extend others, --set, and messages that say where and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from pipeline.config import (
    ConsolidationConfig,
    FlowConfig,
    GuardsConfig,
    Name,
    config_hash,
    config_root,
    deployments,
    dump_config,
    known_keys,
    load_config,
    read_config,
    register_flow,
)
from pipeline.config.loading import load_section
from pipeline.config.section import Section
from pipeline.config.yaml_tree import read_yaml
from pipeline.errors import ConfigError

EPISODIC = "consolidation/episodic"
KEYS = known_keys(ConsolidationConfig)
LEAVES = sorted(
    key
    for key, info in KEYS.items()
    if not (isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel))
)


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs" / "consolidation"
    folder.mkdir(parents=True)
    return folder


def load(configs: Path, text: str, *overrides: str) -> Any:
    (configs / "mine.yaml").write_text(text)
    return load_config("consolidation/mine", overrides, configs=configs.parent)


def message(configs: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(configs, text, *overrides)
    return str(caught.value)


@pytest.mark.parametrize("name", deployments("consolidation"))
def test_every_shipped_deployment_loads_and_its_file_holds_no_default(name: str) -> None:
    config = load_config(f"consolidation/{name}")
    assert (config.flow, config.deployment) == ("consolidation", name)
    tree = read_yaml(config_root() / "consolidation" / f"{name}.yaml").plain()
    for key, info in KEYS.items():
        value: Any = tree
        for part in key.split("."):
            value = value.get(part, ...) if isinstance(value, dict) else ...
        if key in LEAVES and value is not ...:
            assert value != info.default, f"{name}.yaml repeats the default of {key}"


def test_guards_file_is_the_one_place_of_thresholds_and_names_all_of_them() -> None:
    guards = read_yaml(config_root() / "consolidation" / "guards.yaml").plain()["guards"]
    assert set(guards) == set(GuardsConfig.model_fields)
    for name in deployments("consolidation"):
        text = (config_root() / "consolidation" / f"{name}.yaml").read_text()
        assert "extends: " in text and "guards:" not in text


def test_every_key_is_described() -> None:
    assert [key for key, info in KEYS.items() if not info.description] == []


def test_root_is_absolute_and_comes_from_argument_override_environment(
    artifact_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_config(EPISODIC).root == artifact_root
    assert load_config(EPISODIC, root=tmp_path).root == tmp_path
    monkeypatch.chdir(tmp_path)
    assert load_config(EPISODIC, ["root=here"]).root == tmp_path / "here"
    monkeypatch.delenv("ENGRAM_HOME")
    assert load_config(EPISODIC).root == tmp_path


@given(n=st.integers(1, 10**6), alpha=st.floats(0, 1e6), seed=st.integers(0, 2**32 - 1), pin=st.booleans())
def test_overrides_arrive_exactly(n: int, alpha: float, seed: int, pin: bool) -> None:
    config = load_config(
        EPISODIC, [f"suite.n={n}", f"gate.alpha={alpha!r}", f"seed={seed}", f"gate.enforce={str(pin).lower()}"]
    )
    assert isinstance(config, ConsolidationConfig)
    assert (config.suite.n, config.gate.alpha, config.seed, config.gate.enforce) == (n, alpha, seed, pin)


def test_overrides_of_null_lists_mappings_and_numbers_as_text(configs: Path) -> None:
    @register_flow("listing")
    class Listing(FlowConfig):
        flow: Name = "listing"
        targets: tuple[str, ...] = ("q",)

    try:
        (configs.parent / "listing").mkdir()
        (configs.parent / "listing" / "one.yaml").write_text("")
        listed = load_config("listing/one", ["targets=[up, 'no']"], configs=configs.parent)
        assert isinstance(listed, Listing) and listed.targets == ("up", "no")
    finally:
        from pipeline.config import FLOWS

        del FLOWS["listing"]
    config = load(configs, "suite: {seed: 3, path: a.jsonl}", "suite={seed: null, n: 7}", "session=2026")
    assert (config.suite.seed, config.suite.n, str(config.suite.path), config.session) == (None, 7, "a.jsonl", "2026")
    assert load(configs, "", "gate.alpha=1e-3", "gate.beta=2").gate.alpha == 1e-3
    assert load(configs, "", "tracking.uri=sqlite:///a=b.db").tracking.uri == "sqlite:///a=b.db"


def test_the_last_override_wins(configs: Path) -> None:
    assert load(configs, "suite: {n: 1}", "suite.n=2", "suite.n=3").suite.n == 3


def test_what_a_part_leaves_open_is_the_default_of_its_place(configs: Path) -> None:
    class Inner(Section):
        size: int = 1
        other: int = 1

    class Part(Section):
        inner: Inner = Inner(size=2)
        name: str = "class"

    class Whole(Section):
        part: Part = Part(inner=Inner(size=3), name="place")
        none: Part | None = None

    def given(text: str, *overrides: str) -> Whole:
        (configs / "whole.yaml").write_text(text)
        return load_section(Whole, configs / "whole.yaml", overrides)

    assert given("{}") == Whole()
    one = given("part: {inner: {other: 7}}").part
    assert (one.inner.size, one.inner.other, one.name) == (3, 7, "place")
    assert given("part: {inner: {other: 7}}", "part.name=mine").part == Part(inner=Inner(size=3, other=7), name="mine")
    assert given("none: {inner: {other: 7}}").none == Part(inner=Inner(size=2, other=7))


def test_extends_merges_key_by_key(configs: Path) -> None:
    (configs / "base.yaml").write_text("suite: {n: 9, profile: hard}\nseed: 4\n")
    (configs / "middle.yaml").write_text("extends: base.yaml\nsuite: {n: 8}\n")
    for _ in range(2):  # a file that was parsed before is as it was
        config = load(configs, "extends: middle.yaml\nseed: 5\n")
        assert (config.suite.n, config.suite.profile, config.seed) == (8, "hard", 5)


def test_errors_name_the_line_of_the_file_that_set_the_key(configs: Path) -> None:
    (configs / "base.yaml").write_text("# header\nsuite:\n  nn: 9\n")
    text = message(configs, "extends: base.yaml\nsuite:\n  n: 3\n")
    assert "base.yaml:3: unknown key 'suite.nn'; did you mean 'suite.n'?" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("extends: none.yaml", "mine.yaml:1: extends names none.yaml"),
        ("extends: mine.yaml", "mine.yaml:1: mine.yaml extends itself"),
        ("extends: [a]", "mine.yaml:1: extends expects one file name"),
        ("seed: 1\nseed: 2", "mine.yaml:2: key 'seed' is given twice"),
        ("suite:\n  n: [1", "not valid YAML"),
        ("a: b: c", "mine.yaml:1: not valid YAML"),
        ("- a", "mine.yaml:1: expected 'key: value' lines"),
        ("? [a]\n: 1", "mine.yaml:1: expected a plain key"),
        ("suite: &a {n: 1}\ngate: *a", "mine.yaml:2: not valid YAML: aliases"),
        ("suite: &a {n: *a}", "mine.yaml:1: not valid YAML: aliases"),
        ("seed: !!int x", "mine.yaml: not a value that a configuration can hold"),
        ("seed: !!python/object:os.system x", "mine.yaml:1: not valid YAML: could not determine a constructor"),
        ("seed: " + "9" * 5000, "mine.yaml: not a value that a configuration can hold"),
        ("deployment: other", "mine.yaml:1: deployment comes from FLOW/DEPLOYMENT"),
        ("suite:\n  n: many", "mine.yaml:2: suite.n: input should be a valid integer, found 'many' (taught facts"),
        ("suite:\n  n: 2.5", "mine.yaml:2: suite.n: input should be a valid integer"),
        ("seed: true", "mine.yaml:1: seed: input should be a valid integer, found True"),
        ("suite:\n  n: '8'", "mine.yaml:2: suite.n: input should be a valid integer, found '8'"),
        ("suite:\n  n: 0", "mine.yaml:2: suite.n: input should be greater than or equal to 1, found 0"),
        ("gate:\n  alpha: .nan", "mine.yaml:2: gate.alpha: input should be a finite number"),
        ("gate:\n  enforce: on", "mine.yaml:2: gate.enforce: input should be a valid boolean, found 'on'"),
        ("suite: easy", "mine.yaml:1: suite: "),
        ("suite:\n  profile: esy", "mine.yaml:2: suite.profile: input should be 'easy', 'default' or 'hard'"),
        ("session: ../x", "mine.yaml:1: session: name '../x' cannot be part of a path"),
        ("fresh: false", "fresh=false continues a named store"),
        ("store:\n  active: 9999", "mine.yaml:1: store: active (9999) must not exceed expansion"),
    ],
)
def test_bad_files_are_one_clear_message(configs: Path, text: str, expected: str) -> None:
    assert expected in message(configs, text)


@pytest.mark.parametrize("override", ["suite.n", "=3", "a b=3", ".n=3", "suite.n=[1", "suite..n=3"])
def test_malformed_overrides_are_refused(configs: Path, override: str) -> None:
    assert f"--set {override}" in message(configs, "", override)


def test_an_override_is_named_in_its_own_error(configs: Path) -> None:
    assert message(configs, "suite: {n: 3}", "suite.n=x").startswith("--set suite.n=x: suite.n: ")


def test_all_errors_are_reported_at_once(configs: Path) -> None:
    assert len(message(configs, "sed: 1\nsuite: {m: 2}\n").splitlines()) == 2


@given(st.sampled_from(LEAVES), st.data())
def test_one_typo_suggests_the_meant_key(key: str, data: st.DataObject) -> None:
    section, _, name = key.rpartition(".")
    assume(len(name) >= 4)
    at = data.draw(st.integers(1, len(name) - 1))
    typo = name[:at] + "x" + name[at + 1 :]
    wrong = f"{section}.{typo}" if section else typo
    assume(wrong not in KEYS)
    with pytest.raises(ConfigError, match="did you mean") as caught:
        load_config(EPISODIC, [f"{wrong}=1"])
    assert f"unknown key {wrong!r}" in str(caught.value)


@given(st.one_of(st.sampled_from(LEAVES), st.text()), st.text())
def test_no_override_ever_shows_a_traceback(key: str, value: str) -> None:
    try:
        assert load_config(EPISODIC, [f"{key}={value}"]).flow == "consolidation"
    except ConfigError as error:
        assert str(error)


@given(st.text("ab:{}[]-&*!?|>'\"%#,\n 1.", max_size=30))
def test_no_file_ever_shows_a_traceback(configs: Path, text: str) -> None:
    try:
        assert load(configs, text).deployment == "mine"
    except ConfigError as error:
        assert "mine.yaml" in str(error)


def test_a_key_without_its_section_suggests_the_section() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'half_life_nights'; did you mean 'store\.half_life_nights'"):
        load_config(EPISODIC, ["half_life_nights=3"])


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("consolidtion/episodic", "did you mean 'consolidation'"),
        ("consolidation/episodc", "did you mean 'episodic'"),
        ("consolidation/guards", "unknown deployment"),
        ("consolidation/../episodic", "unknown deployment"),
        ("consolidation", "unknown deployment"),
        ("", "unknown flow"),
    ],
)
def test_unknown_targets(target: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load_config(target)


def test_a_dumped_configuration_reads_back_at_another_root(tmp_path: Path) -> None:
    config = load_config(EPISODIC, ["suite.path=ä b.jsonl", "gate.alpha=1e-7", "session=1e3"])
    (tmp_path / "config.yaml").write_bytes(dump_config(config))
    assert read_config(tmp_path / "config.yaml", config.root) == config
    moved = read_config(tmp_path / "config.yaml", tmp_path / "else")
    assert moved.root == tmp_path / "else"
    assert config_hash(moved) == config_hash(config)


def test_an_unreadable_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        read_config(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_config(tmp_path / "latin.yaml")


def test_a_flow_is_registered_once() -> None:
    with pytest.raises(ValueError, match="already registered"):
        register_flow("consolidation")(ConsolidationConfig)
