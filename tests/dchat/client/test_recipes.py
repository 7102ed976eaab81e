"""docs/python-client.md: every program of the page does what it says, and with the client's own distribution alone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.docs.recipes import Kitchen, Recipe, kitchen, recipes

ROOT = Path(__file__).parents[3]
PACKAGING = ROOT / "packaging" / "client"
ALONE = ("The first payment", "In a script or a notebook", "Verify a balance", "A bot that survives restarts", "TLS")
RECIPE_S = 120.0  # of a machine that is busy


async def cook(place: Kitchen, python: str, cooked: Sequence[Recipe]) -> None:
    """One after another, each in a process of its own: a later one uses what an earlier made."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DCHAT", "PYTHON"))}
    for recipe in cooked:
        running = await asyncio.create_subprocess_exec(
            python, "-c", place.filled(recipe.code), cwd=place.folder, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(RECIPE_S):
            printed = (await running.communicate())[0].decode()
        assert recipe.prints(printed), f"{recipe.title}: printed\n{printed}\nthe page says\n{recipe.shown}"
        assert running.returncode == 0


@pytest.mark.network
async def test_every_program_of_the_page_runs(tmp_path: Path) -> None:
    async with kitchen(tmp_path / "network") as place:
        await cook(place, sys.executable, recipes())


@pytest.mark.network
async def test_the_clients_own_distribution_runs_them(tmp_path: Path) -> None:
    python = await asyncio.to_thread(environment_of, tmp_path)
    async with kitchen(tmp_path / "network") as place:
        await cook(place, python, [recipe for recipe in recipes() if recipe.title in ALONE])


def environment_of(folder: Path) -> str:
    """An environment with the client's wheel and what that names, and nothing else. Skips where that cannot be had."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder / "dist"), str(PACKAGING)]
    told = subprocess.run(build, capture_output=True, text=True, timeout=300, check=False)
    assert told.returncode == 0, told.stderr
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True, timeout=120)
    python = str(folder / "venv" / "bin" / "python")
    (wheel,) = (folder / "dist").glob("dchat_client-*.whl")
    install = [*pip, "--python", python, "install", "--only-binary", ":all:", "--retries", "0", str(wheel)]
    told = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    if told.returncode:
        pytest.skip(f"no package index for the client's distribution: {told.stderr.strip()[-300:]}")
    return python


def test_the_distribution_holds_what_is_imported() -> None:
    """Its list of packages is that, no more; and its bounds and version are the tree's."""
    code = """
    import sys, dchat.client, dchat.client.blocking, bridge.records
    for name in dchat.client.__all__:
        getattr(dchat.client, name, None)
    from dchat.client import light_provider, pack_make, pack_verify, stall, trails
    ours = {"bridge", "chain", "consensus", "crypto", "dchat", "governance", "light", "proto", "storage"}
    found = [(name, module) for name, module in sys.modules.items() if name.partition(".")[0] in ours]
    print(*sorted({name if hasattr(module, "__path__") else name.rpartition(".")[0] for name, module in found}))
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, check=True, capture_output=True, text=True, timeout=120
    )
    own = tomllib.loads((PACKAGING / "pyproject.toml").read_text())
    assert own["tool"]["setuptools"]["packages"] == told.stdout.split()
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(own["project"]["dependencies"]) <= set(whole["dependencies"])
    assert own["project"]["version"] == whole["version"]
