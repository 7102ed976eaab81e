"""What is installed and pinned: nothing that hides our own packages, and locks that work anywhere."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXTRAS = "requirements-extras.lock"
LOCKS = ("requirements.lock", "requirements-dev.lock", EXTRAS)
PINNED = re.compile(r"^([a-z0-9][a-z0-9.-]*)==\S+ \\$", re.MULTILINE)


def pinned(lock: str) -> set[str]:
    return set(PINNED.findall((ROOT / lock).read_text()))


def canonical(requirement: str) -> str:
    name = re.split(r"[<>=~!;\[ ]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_files_name_no_host(lock: str) -> None:
    """A mirror named in a lock file would tie every machine to it."""
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", text, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_carries_hashes(lock: str) -> None:
    for block in re.split(r"^(?=[a-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_locks_cover_the_declared_requirements() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {canonical(r) for r in project["dependencies"]}
    dev = {canonical(r) for r in project["optional-dependencies"]["dev"]}
    assert declared <= pinned("requirements.lock")
    assert declared | dev <= pinned("requirements-dev.lock")


def entries(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """By name: the version, and its hashes."""
    found = {}
    for block in re.split(r"^(?=[a-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]:
        name, _, version = block.splitlines()[0].removesuffix(" \\").partition("==")
        found[name] = (version, frozenset(re.findall(r"--hash=(\S+)", block)))
    return found


def needed(names: set[str]) -> set[str]:
    """These, and all that they need, as it is installed here."""
    found: set[str] = set()
    while names - found:
        name = (names - found).pop()
        found.add(name)
        told = importlib.metadata.requires(name) or []
        names = names | {canonical(one) for one in told if "extra ==" not in one.replace("'", '"')}
    return found


def test_the_images_extras_are_pinned_as_the_tests_have_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    extras = needed({canonical(r) for name in ("kms", "s3", "hsm") for r in project[name]})
    assert extras - pinned("requirements.lock") == pinned(EXTRAS)
    dev = entries("requirements-dev.lock")
    assert entries(EXTRAS) == {name: dev[name] for name in pinned(EXTRAS)}


@pytest.mark.parametrize("lock", LOCKS)
def test_proto_plus_is_not_pinned(lock: str) -> None:
    """proto-plus claims the import name `proto`, which is ours."""
    assert "proto-plus" not in pinned(lock)


def test_proto_plus_is_not_installed() -> None:
    names = {canonical(d.metadata["Name"]) for d in importlib.metadata.distributions()}
    assert "proto-plus" not in names
    import proto

    assert proto.__file__ is not None
    assert Path(proto.__file__).parent == ROOT / "proto"
