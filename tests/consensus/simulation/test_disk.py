"""The two faces of consensus.system.disk.Disk: whoever is given one cannot tell which it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.simulation.disk import SimulatedDisk
from consensus.simulation.home import SimDisk
from consensus.system.disk import Disk, OsDisk

NAMES = ("log", "state")
Step = Callable[[Disk, Path], object]


def _append(name: str, data: bytes, *, sync: bool) -> Step:
    def step(disk: Disk, folder: Path) -> None:
        file = disk.open_append(folder / name)
        file.write(data)
        if sync:
            file.sync()
        file.close()

    return step


name = st.sampled_from(NAMES)
data = st.binary(max_size=12)
number = st.integers(0, 20)
steps = st.one_of(
    st.builds(lambda n, d, s: _append(n, d, sync=s), name, data, st.booleans()),
    st.builds(lambda n, d: lambda disk, at: disk.replace(at / n, d), name, data),
    st.builds(lambda a, b: lambda disk, at: disk.rename(at / a, at / b), name, name),
    st.builds(lambda n: lambda disk, at: disk.remove(at / n), name),
    st.builds(lambda n, size: lambda disk, at: disk.truncate(at / n, min(size, disk.size(at / n))), name, number),
    st.builds(lambda n: lambda disk, at: disk.read(at / n), name),
    st.builds(lambda n, at, size: lambda disk, folder: disk.read_at(folder / n, at, size), name, number, number),
    st.builds(lambda n: lambda disk, at: disk.size(at / n), name),
    st.just(lambda disk, at: disk.names(at)),
    st.just(lambda disk, at: disk.names(at / "none")),
    st.just(lambda disk, at: disk.sync_directory(at)),
)


def told(disk: Disk, folder: Path, step: Step) -> object:
    """What it answers, or which error it raises."""
    try:
        return step(disk, folder)
    except OSError as error:
        return type(error)


@pytest.mark.parametrize("face", [SimulatedDisk, SimDisk])
@settings(max_examples=60, deadline=None)
@given(done=st.lists(steps, max_size=25))
def test_both_faces_answer_alike(
    face: type[SimulatedDisk], tmp_path_factory: pytest.TempPathFactory, done: list[Step]
) -> None:
    folder = tmp_path_factory.mktemp("disk") / "data"
    real, simulated = OsDisk(), face()
    real.make_directory(folder)
    simulated.make_directory(folder)
    for step in done:
        assert told(simulated, folder, step) == told(real, folder, step)
    assert simulated.names(folder) == real.names(folder)
    for found in real.names(folder):
        assert simulated.read(folder / found) == real.read(folder / found)
