"""Which part of what a launch writes reaches HBM."""

import pytest

from tiletwin.machine.chip import chip
from tiletwin.machine.l2 import Tensor, residency

MIB = 2**20


@pytest.mark.parametrize('rounds', [1, 10, 1000])
def test_a_queue_written_over_and_over_reaches_hbm_once(rounds):
    out = Tensor('Out', 400 * MIB, 0, 400 * MIB, True)
    queue = Tensor('queue', 50 * MIB, 50 * rounds * MIB, 50 * rounds * MIB, True)
    found = residency(chip('a3'), [out, queue])
    assert found.spilled * (out.written + queue.written) == pytest.approx((450 - 192) * MIB), 'L2 holds 192 MiB of the 450'
