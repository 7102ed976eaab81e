"""Tools of others for tests: fetched and built once into a cache, with the ordinary client of each language.

The cache is `$DCHAT_CACHE` or `~/.cache/dchat`. Without the language, or without the network before the first build,
the test is skipped and says so; a build that fails otherwise fails the test.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

BUILD_TIMEOUT_S = 900
OFFLINE_SIGNS = (
    "dial tcp", "no such host", "module lookup disabled", "TLS handshake timeout",  # Go
    "failed to download", "Could not resolve host", "failed to query replaced source", "download of config.json failed",
    "ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT",  # npm
    "Failed to establish a new connection", "Temporary failure in name resolution", "Could not fetch URL",  # pip
)  # fmt: skip


def cache() -> Path:
    return Path(os.environ.get("DCHAT_CACHE") or Path.home() / ".cache" / "dchat")


def found(tool: str, why: str) -> str:
    """The path of a language's tool. Skips the test where it is missing."""
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"{tool} is missing: {why}")
    return path


def build(command: list[str], *, folder: Path | None = None, **environment: str) -> str:
    """Run a command that may fetch; returns its output. Skips the test where it cannot."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S,
        check=False,
    )  # fmt: skip
    if done.returncode and any(sign in done.stderr for sign in OFFLINE_SIGNS):
        pytest.skip(f"{' '.join(command)}: what it needs cannot be fetched: {done.stderr[-300:]}")
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Nobody else makes something in the cache meanwhile: half a program is no program to find. Not twice at a time."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def built(path: Path, command: list[str], *, folder: Path) -> Path:
    """What the command makes in `folder` of the cache, made once: who comes meanwhile waits."""
    with alone():
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            build(command, folder=folder)
    return path


def npm_installed(package: str, *, folder: Path, npm: str, named: tuple[str, ...] = ()) -> Path:
    """`npm install` in `folder` of the cache, once; named: what is installed, without it what its package.json says.
    Returns the installed package's folder."""
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
    manifest, says = folder / "node_modules" / package / "package.json", folder / "package.json"
    if named and not says.exists():
        folder.mkdir(parents=True, exist_ok=True)
        says.write_text('{"private": true}')
    return built(manifest, [npm, "install", *options, *named], folder=folder).parent


def go_tool(name: str, package: str, version: str) -> Path:
    """A Go program, `go install`ed. package: without the version, which begins with v."""
    with alone():
        return _go_tool(name, package, version)


def _go_tool(name: str, package: str, version: str) -> Path:
    path = cache() / "bin" / name
    go = shutil.which("go")
    if path.exists() and (go is None or module_version(go, path) == version):
        return path
    if go is None:
        pytest.skip(f"Go is missing, and {path} is not there: install Go to run the tests with {name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    build([go, "install", f"{package}@{version}"], GOBIN=str(path.parent))
    assert module_version(go, path) == version
    return path


def deb_tool(name: str, package: str) -> Path:
    """A file, mostly a program, of a Debian package that is not installed: it would start a service. Fetched once and
    unpacked."""
    if (there := shutil.which(name)) is not None:
        return Path(there)
    with alone():
        return _deb_tool(name, package)


def _deb_tool(name: str, package: str) -> Path:
    folder = cache() / "deb" / package
    if (path := _program_in(folder, name)) is not None:
        return path
    apt = found("apt-get", f"{name} is of Debian's package {package}")
    unpack = found("dpkg-deb", f"{name} is of Debian's package {package}")
    folder.mkdir(parents=True, exist_ok=True)
    for fetch in (["download", package], ["update"], ["download", package]):
        done = subprocess.run(
            [apt, *fetch], cwd=folder, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
        )
        if fetch[0] == "download" and done.returncode == 0:
            break
    archives = sorted(folder.glob("*.deb"))
    if not archives:
        pytest.skip(f"apt-get download {package}: it cannot be fetched: {done.stderr[-300:]}")
    subprocess.run([unpack, "-x", str(archives[-1]), str(folder)], check=True, timeout=BUILD_TIMEOUT_S)
    archives[-1].unlink()
    path = _program_in(folder, name)
    assert path is not None, f"Debian's package {package} has no program {name}"
    return path


def deb_libraries(*packages: tuple[str, str]) -> dict[str, str]:
    """An environment in which programs find shared libraries of Debian packages that are not installed.

    packages: each with a library of it, as `("libpopt.so.0", "libpopt0")`."""
    places = [str(deb_tool(library, package).parent) for library, package in packages]
    return {"LD_LIBRARY_PATH": ":".join([*places, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])}


def _program_in(folder: Path, name: str) -> Path | None:
    """Of an unpacked Debian package."""
    places = [folder / "usr" / "bin" / name, folder / "usr" / "sbin" / name, folder / "usr" / "lib" / "softhsm" / name]
    places += sorted(folder.glob(f"usr/lib/*-linux-*/{name}")) + sorted(folder.glob(f"lib/*-linux-*/{name}"))
    return next((path for path in places if path.exists()), None)


def pip_tool(name: str, *requirements: str) -> Path:
    """A program of packages of PyPI, in an environment of its own. requirements: each with its version, as `a==1.2`;
    the first is the program's."""
    digest = hashlib.sha256(" ".join(requirements).encode()).hexdigest()[:8]
    folder = cache() / "pip" / f"{requirements[0].replace('==', '-')}-{digest}"
    path = folder / "bin" / name
    with alone():
        if path.exists():
            return path
        build([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        build([*pip, "--retries", "1", *requirements])
    assert path.exists(), f"{requirements[0]} has no program {name}"
    return path


def module_version(go: str, path: Path) -> str:
    """Of the module that a Go binary was built from."""
    said = subprocess.run([go, "version", "-m", path], capture_output=True, text=True, check=False).stdout
    told = re.findall(r"^\tmod\t\S+\t(\S+)", said, re.MULTILINE)
    return told[0] if told else ""


def copied(source: Path, name: str) -> Path:
    """A folder of the cache with a copy of `source`, one for each content: what is built there is built once."""
    digest = hashlib.sha256()
    files = sorted(path for path in source.rglob("*") if path.is_file() and "node_modules" not in path.parts)
    for path in files:
        digest.update(path.relative_to(source).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    folder = cache() / "programs" / f"{name}-{digest.hexdigest()[:16]}"
    for path in files:
        target = folder / path.relative_to(source)
        if not target.exists():  # its folder is named after the contents
            target.parent.mkdir(parents=True, exist_ok=True)
            whole = target.with_name(f".{target.name}.{os.getpid()}")
            whole.write_bytes(path.read_bytes())
            whole.replace(target)
    return folder
