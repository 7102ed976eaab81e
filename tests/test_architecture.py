"""The house: every room has its floor, nothing stands in a circle, no room is crowded, and each says what it is."""

from __future__ import annotations

import ast
import importlib
import tomllib
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
FILES_MAX = 12  # of a room, beside its __init__
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINTER = SETTINGS["tool"]["importlinter"]
ROOTS: list[str] = [name for name in LINTER["root_packages"] if name != "proto"]
LAYERS = [
    {name.strip() for name in line.split("|")}
    for contract in LINTER["contracts"]
    if contract["type"] == "layers"
    for line in contract["layers"]
]


@cache
def graph() -> grimp.ImportGraph:
    # Without grimp's cache: a file that did not change would still import a module that has become a function's name.
    return grimp.build_graph(*ROOTS, cache_dir=None)


@cache
def packages() -> frozenset[str]:
    return frozenset(name for name in graph().modules if graph().find_children(name))


def room_of(module: str) -> str:
    return module if module in packages() else module.rpartition(".")[0] or module


@cache
def rooms() -> dict[str, set[str]]:
    """Each room that has files of its own, and the rooms from which it imports."""
    found: dict[str, set[str]] = {room_of(module): set() for module in graph().modules if module not in packages()}
    for module in sorted(graph().modules - packages()):
        for imported in graph().find_modules_directly_imported_by(module):
            if room_of(imported) != room_of(module):
                found[room_of(module)].add(room_of(imported))
    return found


def test_every_file_has_its_floor() -> None:
    floors = set().union(*LAYERS)
    homeless = [
        module
        for module in graph().modules - packages()
        if not any(module == floor or module.startswith(f"{floor}.") for floor in floors)
    ]
    assert not sorted(homeless), "declare the floor of these in pyproject.toml, [tool.importlinter]"


def test_no_floor_is_stale() -> None:
    assert set().union(*LAYERS) - {"proto"} <= graph().modules


@pytest.mark.parametrize("what", ["rooms", "files"])
def test_no_circle(what: str) -> None:
    edges = rooms()
    if what == "files":
        edges = {name: set(graph().find_modules_directly_imported_by(name)) for name in graph().modules}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def test_no_room_is_crowded() -> None:
    sizes = {room: sum(room_of(m) == room for m in graph().modules - packages()) for room in rooms()}
    assert {room: size for room, size in sizes.items() if size > FILES_MAX} == {}


def test_each_room_says_what_it_is() -> None:
    silent = []
    for package in sorted(packages()):
        path = ROOT / package.replace(".", "/") / "__init__.py"
        if not ast.get_docstring(ast.parse(path.read_text())):
            silent.append(package)
    assert silent == []


def exported(room: str) -> list[str]:
    """What a room's `__init__` offers to others: files, or names that it has itself."""
    return list(getattr(importlib.import_module(room), "__all__", []))


@cache
def imports_between_rooms() -> dict[tuple[str, str], list[str]]:
    """(room, what is taken of it) -> the lines that take it, of other rooms and of what stands above all."""
    found: dict[tuple[str, str], list[str]] = {}
    for root in (*ROOTS, "benchmarks", "examples", "scripts", "tests"):
        for path in sorted((ROOT / root).rglob("*.py")):
            here = ".".join(path.relative_to(ROOT).parent.parts)
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.ImportFrom) or node.module is None:
                    continue
                whole = graph().modules if node.module.partition(".")[0] in ROOTS else frozenset()
                for alias in node.names:
                    module = f"{node.module}.{alias.name}"
                    taken = module if module in whole else node.module
                    if module not in whole and node.module in packages():
                        taken = module  # a name that the room's __init__ has
                    room, _, name = taken.rpartition(".")
                    if taken in packages():
                        continue
                    if room in packages() and room != here:
                        found.setdefault((room, name), []).append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_a_room_is_entered_by_what_it_exports() -> None:
    """`__all__` of a room's `__init__` names the files, or its own names, that others may use (decision 12)."""
    inside = [
        f"{line}: {room}.{name}"
        for (room, name), lines in sorted(imports_between_rooms().items())
        if name not in exported(room)
        for line in lines
        if not line.startswith("tests/")  # they may look at a part alone
    ]
    assert inside == [], "not for others: export it in the room's __init__, or use what is exported"


def test_what_a_room_exports_is_there_and_used() -> None:
    stale = []
    for package in sorted(packages()):
        for name in exported(package):
            if f"{package}.{name}" in packages():
                continue
            is_file = f"{package}.{name}" in graph().modules
            if not is_file and not hasattr(importlib.import_module(package), name):
                stale.append(f"{package}.{name} is not there")
            elif (package, name) not in imports_between_rooms():
                stale.append(f"{package}.{name} is used by nobody")
    assert stale == []


def test_every_package_is_installed_and_checked() -> None:
    """A new root must be in the wheel, under mypy, and within the walls."""
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks", "scripts"}
    assert folders == set(LINTER["root_packages"])
    assert folders == {name.removesuffix("*") for name in SETTINGS["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert folders - {"proto"} == set(SETTINGS["tool"]["mypy"]["packages"])


def test_the_product_imports_no_test() -> None:
    guilty = []
    for root in ROOTS:
        for path in sorted((ROOT / root).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [node.module]
                if any(name.partition(".")[0] in ("tests", "benchmarks", "pytest") for name in names):
                    guilty.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert guilty == []


# Whose fault it is must be told by the class: who handles a lie would else handle what we lack, or broke, as one.
LIES = {"InvalidData", "CryptoError", "PeerFault", "P2PError", "ProofFailed"}
LACKS = {"EvidenceUnverifiable", "VersionUnavailable", "NotThere", "NotYet", "Superseded", "Busy", "NotFound"}
BROKEN = {
    "InvalidDocument",
    "ConsensusFailure",
    "CorruptState",
    "StoreCorrupted",
    "WalCorrupted",
    "SignerError",
    "StoreFailed",
    "HomeError",
}
TWO_MEANINGS = {"BadSignature", "InvalidProposal", "Malformed"}  # of blocks and of transactions: names that others read


def test_a_lie_what_we_lack_and_what_we_broke_share_no_class() -> None:
    errors = exceptions()
    assert {*LIES, *LACKS, *BROKEN} <= errors.keys()
    for name, (kind, *_) in errors.items():
        families = [LIES, LACKS, BROKEN]
        assert sum(any(parent.__name__ in family for parent in kind.__mro__) for family in families) <= 1, name


# A room whose errors stand in more than one tree, and why.
TREES = {
    "consensus.abci_socket": "the other end's bytes are no fault of ours, and an application that is gone ends a node",
    "chain.state": "what the disk gave back wrongly is told as storage tells it",
    "consensus.formats": "data that lies, documents of our own, and what cannot be judged here share no class",
    "consensus.p2p.conn": "a reactor's judgement of a peer is apart from what befell an address or a connection",
    "consensus.simulation": "a machine that is gone is no Exception: nothing of the engine may catch it",
    "consensus.sync": "a peer's lie is of the formats' tree; a block that our software refuses is no peer's fault",
    "dchat.simulation": "a planted failure stands for anybody's, and so for no error of the simulator's own",
}


def test_a_room_has_one_tree_of_errors() -> None:
    """Its own, or that of the room whose kind of fault it tells: who means all errors of a room names the root."""
    trees: dict[str, set[type[BaseException]]] = {}
    for kinds in exceptions().values():
        for kind in kinds:
            ours = [parent for parent in kind.__mro__ if parent.__module__.partition(".")[0] in ROOTS]
            roots = {parent for parent in ours if not any(base in ours for base in parent.__bases__)}
            trees.setdefault(room_of(kind.__module__), set()).update(roots)
    several = {room: sorted(root.__name__ for root in roots) for room, roots in trees.items() if len(roots) > 1}
    assert several.keys() == TREES.keys(), several


def test_an_error_has_one_meaning() -> None:
    assert {name for name, kinds in exceptions().items() if len(kinds) > 1} == TWO_MEANINGS


@cache
def exceptions() -> dict[str, list[type[BaseException]]]:
    """name -> the product's classes of that name."""
    found: dict[str, list[type[BaseException]]] = {}
    for name in sorted(graph().modules - packages() - {"dchat.__main__"}):
        for item in vars(importlib.import_module(name)).values():
            if isinstance(item, type) and issubclass(item, BaseException) and item.__module__ == name:
                found.setdefault(item.__name__, []).append(item)
    return found


def test_no_test_module_imports_another() -> None:
    """What two need stands in tests/support."""
    guilty = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
            relative = isinstance(node, ast.ImportFrom) and node.level
            if relative or any(name.startswith("tests.") and ".test_" in name for name in names):
                guilty.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert guilty == []


# What is no mirror of a package: shared helpers, and tools with commands of their own.
TOOLS = ("before", "campaigns", "fuzz", "simulation")
BESIDE = (*TOOLS, "data", "deploy", "interop", "support")


def test_the_tests_mirror_the_packages() -> None:
    """The tests of a room stand in the folder of its name (of a file with many, in one of the file's)."""
    rooms = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")} - {Path()}
    strange = [
        str(room)
        for room in sorted(rooms)
        if room.parts[0] not in BESIDE
        and not (ROOT / room / "__init__.py").exists()
        and not (ROOT / room).with_suffix(".py").exists()
    ]
    assert strange == []


def test_helpers_of_tests_stand_in_one_place() -> None:
    scattered = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if not path.name.startswith(("test_", "__init__"))
        and path.relative_to(ROOT / "tests").parts[0] not in (*TOOLS, "support", "known_failures.py", "conftest.py")
    ]
    assert scattered == []
