"""From a digest of sources to the commit that holds them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pipeline.artifacts import digest_json, digest_tree
from pipeline.results.commits import FOLDERS, commits_of


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, **files: str) -> tuple[str, str]:
    """Write and commit files; the commit, and the digest of the sources as a run states it."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "a change")
    return git(folder, "rev-parse", "--short=7", "HEAD"), version(folder)


def version(folder: Path) -> str:
    return digest_json({name: digest_tree(folder / place, "*.py") for name, place in FOLDERS.items()})


def test_a_version_is_the_oldest_commit_that_has_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    first, code = commit(tmp_path, src__pipeline__a_py="1\n", tasks__b_py="2\n", src__pipeline__a_b__c_py="ü\n")
    _, same = commit(tmp_path, README="words")
    third, other = commit(tmp_path, src__pipeline__a_py="3\n")
    assert code == same != other
    (tmp_path / "tasks" / "b.py").write_text("edited")
    found = commits_of({code, other, version(tmp_path)}, tmp_path)
    assert found == {code: first, other: third}


def test_without_history_nothing_is_found(tmp_path: Path) -> None:
    assert commits_of({"a"}, tmp_path) == {} == commits_of((), tmp_path)
