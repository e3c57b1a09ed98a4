"""Which bytes hold something, and when."""

from tiletwin.harness.memory_map import Life, in_use, lives
from tiletwin.sim.result import Slice, Timeline, Touch


def use(start, end, *touches, **more):
    return Slice('AIC', 'M', start, end, 'x', None, touches=tuple(Touch('AIC L1', lo, hi, mode, name) for lo, hi, mode, name in touches), **more)


def found(*slices):
    return [(x.buffer, x.start, x.stop, x.begin, x.end) for x in lives(Timeline(list(slices), [], 100))]


def test_a_tenant_stays_from_its_write_to_its_last_read():
    assert found(use(0, 10, (0, 64, 'w', 'a')), use(20, 30, (0, 64, 'r', 'a')), use(40, 50, (0, 64, 'r', 'a'))) == [('a', 0, 64, 0, 50)]


def test_a_write_after_a_read_is_the_next_tenant():
    slices = [use(t, t + 5, (0, 64, mode, 'a')) for t, mode in ((0, 'w'), (10, 'r'), (20, 'w'), (30, 'r'))]
    assert found(*slices) == [('a', 0, 64, 0, 15), ('a', 0, 64, 20, 35)]


def test_two_writes_fill_one_tenant_and_an_operation_in_place_keeps_it():
    assert found(use(0, 5, (0, 64, 'w', 'a')), use(6, 8, (0, 64, 'w', 'a')), use(9, 12, (0, 64, 'w', 'a'), (0, 64, 'r', 'a')),
                 use(20, 22, (0, 64, 'm', 'a'))) == [('a', 0, 64, 0, 22)]


def test_slots_of_a_ring_are_apart_and_parts_that_overlap_are_one():
    assert found(use(0, 5, (0, 64, 'w', 'a')), use(6, 9, (64, 128, 'w', 'a'))) == [('a', 0, 64, 0, 5), ('a', 64, 128, 6, 9)]
    assert found(use(0, 5, (0, 64, 'w', 'a')), use(6, 9, (32, 128, 'r', 'a'))) == [('a', 0, 128, 0, 9)]


def test_a_write_holds_its_bytes_until_they_have_landed():
    assert found(use(0, 5, (0, 64, 'w', 'a'), latency=30)) == [('a', 0, 64, 0, 35)]


def test_bytes_in_use_follow_the_tenants():
    assert in_use([Life('AIC L1', 'a', 0, 64, 0, 20), Life('AIC L1', 'b', 64, 96, 10, 20), Life('AIC L1', 'a', 0, 64, 20, 30)]) == [
        (0, 64), (10, 96), (20, 64), (30, 0)]
