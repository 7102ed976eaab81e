"""What scripts/build does: wheels of the tree and of its dependencies, and a beginning, in one zip file that runs.

The dependencies are those of requirements.lock, with its hashes. Times, order and modes are fixed, so that the same
tree and the same wheels give the same file; the native part, which --with-native adds, is the compiler's too.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
EPOCH = "315532800"  # the same, for setuptools
PLAN_MODULE = "dchat/app/build_plan.py"
PLATFORMS = ("manylinux_2_17", "manylinux2014", "manylinux_2_28", "manylinux_2_34", "linux")
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def main() -> None:
    arguments = read_arguments()
    with tempfile.TemporaryDirectory(prefix="dchat-build-") as folder:
        version, own = project_wheel(Path(folder), arguments.with_plan, arguments.version)
        output = arguments.output or ROOT / "dist" / f"dchat-{version}"
        native = [native_part(Path(folder))] if arguments.with_native else []
        wheels = {python: [*dependencies(python), *native] for python in arguments.python or [HERE]}
        output.parent.mkdir(parents=True, exist_ok=True)
        write(output, version, own, wheels)
    digest = hashlib.sha256(output.read_bytes()).hexdigest()
    print(f"{digest}  {output}")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/build", description=__doc__)
    parser.add_argument("--python", action="append", metavar="X.Y", help="a Python that the file is to run on; repeat")
    parser.add_argument("--with-plan", type=Path, metavar="FILE", help=f"takes the place of {PLAN_MODULE}")
    parser.add_argument("--version", help="instead of pyproject.toml's")
    parser.add_argument("--with-native", action="store_true", help="with the native part, as scripts/env built it")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: dist/dchat-VERSION")
    return parser.parse_args()


def pip(*arguments: str | Path, **environment: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(command, check=True, env={**os.environ, **environment})


def packages() -> list[str]:
    """The folders that pyproject.toml installs."""
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("[tool.setuptools.packages.find]") :]
    return re.findall(r'"(\w+)\*"', block[: block.index("]", block.index("include"))])


def project_wheel(folder: Path, plan: Path | None, version: str | None) -> tuple[str, Path]:
    """(version, wheel) of a copy of the tree, with another plan or version when asked."""
    tree = folder / "tree"
    tree.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in packages():
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    text = (ROOT / "pyproject.toml").read_text()
    if version:
        text = re.sub(r'(?m)^version = "[^"]+"$', f'version = "{version}"', text, count=1)
    (tree / "pyproject.toml").write_text(text)
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    if plan is not None:
        shutil.copyfile(plan, tree / PLAN_MODULE)
    out = folder / "own"
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", out, tree, SOURCE_DATE_EPOCH=EPOCH)
    (wheel,) = out.glob("*.whl")
    return wheel.name.split("-")[1], packed(wheel, folder)


def packed(wheel: Path, output: Path) -> Path:
    """The wheel once more, as any machine would pack it."""
    made = output / wheel.name
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        names = [entry.filename for entry in source.infolist() if not entry.is_dir()]
        for name in sorted(names, key=lambda name: (".dist-info/" in name, name)):  # what is read first stands last
            add(archive, name, source.read(name))
    return made


def dependencies(python: str) -> list[Path]:
    """The wheels of requirements.lock for a version of Python, kept in build/wheels for the next build."""
    lock = ROOT / "requirements.lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = ROOT / "build" / "wheels" / f"{python}-{os.uname().machine}-{digest}"
    if not folder.is_dir():
        draft = folder.with_name(f"{folder.name}.{os.getpid()}")
        if python == HERE:
            pip("wheel", "--require-hashes", "--requirement", lock, "--wheel-dir", draft)
        else:
            tags = [f"--platform={platform}_{os.uname().machine}" for platform in PLATFORMS]
            pip(
                "download", "--require-hashes", "--requirement", lock, "--dest", draft, "--only-binary=:all:",
                f"--python-version={python}", *tags,
            )  # fmt: skip
        draft.rename(folder)
    return sorted(folder.glob("*.whl"))


def native_part(folder: Path) -> Path:
    """The wheel of what scripts/env built: one file does for all Pythons."""
    spec = importlib.util.find_spec("dchat_native")
    if spec is None or spec.origin is None:
        raise SystemExit("scripts/build: the native part is not built here: scripts/env says why (docs/native.md)")
    wheel = folder / f"dchat_native-0-cp311-abi3-linux_{os.uname().machine}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as archive:
        add(archive, "dchat_native.abi3.so", Path(spec.origin).read_bytes())
    return wheel


def write(output: Path, version: str, own: Path, wheels: dict[str, list[Path]]) -> None:
    """The file: a line that names Python, then a zip."""
    files = {own.name: own} | {path.name: path for paths in wheels.values() for path in paths}
    contents = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    manifest = {
        "version": version,
        "wheels": {python: sorted({own.name, *(path.name for path in paths)}) for python, paths in wheels.items()},
        "build": hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest(),
    }
    draft = output.with_name(f".{output.name}.new")
    with draft.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            add(archive, "__main__.py", (ROOT / "scripts" / "executable_main.py").read_bytes())
            add(archive, "manifest.json", json.dumps(manifest, sort_keys=True).encode())
            for name in sorted(files):
                add(archive, f"wheels/{name}", files[name].read_bytes())
    draft.chmod(0o755)
    draft.replace(output)


def add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, FIXED_TIME)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)


if __name__ == "__main__":
    main()
