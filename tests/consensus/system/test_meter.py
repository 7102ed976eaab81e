"""CPU time of pieces of work, from a clock that is read for nothing and one that is dear."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consensus.formats.units import NS_PER_MS
from consensus.system.meter import DOUBTFUL_NS, LOOK_NS, Meter


@given(st.lists(st.tuples(*[st.integers(0, 3 * NS_PER_MS)] * 3), min_size=1, max_size=60))
def test_a_piece_of_work_is_charged_what_it_used_and_a_busy_machine_is_not_its_fault(
    pieces: list[tuple[int, int, int]],
) -> None:
    """Other work of the thread, work of the piece, and an interruption of it by other processes, in turn."""
    wall = used = 0
    looks = [0]

    def work_ns() -> int:
        looks[0] += 1
        return used

    meter = Meter(work_ns, lambda: wall)
    for other, work, interrupted in pieces:
        wall, used = wall + other, used + other
        began = meter.begin()
        wall, used = wall + work + interrupted, used + work
        assert work <= meter.spent(began) <= work + min(interrupted, max(DOUBTFUL_NS, LOOK_NS))
    assert looks[0] <= 2 * wall // DOUBTFUL_NS + 1, "a look costs as much as a message"


def test_many_small_pieces_cost_no_look_at_the_threads_time_each() -> None:
    """audit 10: twice a look a read was some 6 us of each payment, several times what reading it cost."""
    wall, looks = 0, [0]

    def work_ns() -> int:
        looks[0] += 1
        return wall

    meter = Meter(work_ns, lambda: wall)
    paid = 0
    for _ in range(10_000):
        began = meter.begin()
        wall += 10_000
        paid += meter.spent(began)
    assert paid == wall
    assert looks[0] <= wall // LOOK_NS + 1
