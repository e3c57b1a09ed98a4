"""One launch record made by hand, of a vector kernel that lost its wait_flag."""

from pathlib import Path

import pytest

from tiletwin.errors import Span
from tiletwin.ir.expr import Const, Var
from tiletwin.ir.nodes import Buffer, Launch as Frame, Program
from tiletwin.sanitize.findings import Finding, Side, Verdict
from tiletwin.sim.result import Arrow, Launch, Slice, Stream, Timeline, Touch

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    """Paths are printed relative to the working directory."""
    monkeypatch.chdir(HERE)


def at(line):
    return Span(str(HERE / 'racy_kernel.txt'), line)


def race(**changes):
    parts = dict(
        tool='racecheck', word='race', severity='error', message='exp reads `a` while the copy may still write it (RAW)',
        sides=(Side('writes', 'copy', 'MTE2', 'AIV0', at(7), 'k=0', 'UB a[0:4096 B]', 0),
               Side('reads', 'exp', 'V', 'AIV0', at(9), 'k=0', 'UB a[0:4096 B]', 0, 'user')),
        why='the flag MTE2->V 0 is set at line 8, and nothing on V waits for it', fix="T.wait_flag('mte2', 'v', 0) before line 9",
        overlap='UB [0, 4096) B', count=4,
    )
    return Finding(**(parts | changes))


def leak():
    return Finding('synccheck', 'flag', 'review', 'the flag MTE2->V 0 is still set when the kernel ends',
                   (Side('last set by', 'set_flag', 'MTE2', 'AIV0', at(8), 'k=3'),), count=2)


@pytest.fixture
def verdict():
    return Verdict((leak(), race()))


@pytest.fixture
def make_launch():
    def make(name='exp_1d', chip='a3', verdict=Verdict()):
        slices = [
            Slice('AIV0', 'S', 0.0, 5.0, 'issue', None),
            Slice('AIV0', 'MTE2', 5.0, 118.0, 'copy', at(7), 'k=0', 'op', 4096, 20.0, 5.0, touches=(Touch('AIV0 UB', 0, 4096, 'w', 'a'),)),
            Slice('AIV0', 'V', 5.0, 138.0, 'wait_flag', at(8), 'k=0', 'wait', issued=5.0, flag='MTE2->V 0', set_at=at(8)),
            Slice('AIV0', 'V', 138.0, 185.0, 'exp', at(9), 'k=0', touches=(Touch('AIV0 UB', 4096, 8192, 'w', 'b'), Touch('AIV0 UB', 0, 4096, 'r', 'a'))),
            Slice('AIV0', 'S', 10.0, 185.0, 'pipe_barrier', None, '', 'barrier'),
            Slice('AIV0', 'MTE3', 185.0, 370.0, 'copy', at(10), 'k=0', 'op', 4096, issued=185.0, touches=(Touch('AIV0 UB', 4096, 8192, 'r', 'b'),)),
        ]
        busy = {('AIV0', 'S'): 5.0, ('AIV0', 'MTE2'): 133.0, ('AIV0', 'V'): 47.0, ('AIV0', 'MTE3'): 185.0, ('AIV1', 'V'): 0.0}
        timeline = Timeline(slices, [Arrow(1, 2, 'MTE2->V 0')], 370.0, busy)
        program = Program(name, ('A',), {'A': Buffer('A', 'GM', (Const(4096),), 'float32')},
                          Frame(Var('cid', 'int32'), Var('vid', 'int32'), Const(4), 'cid_vid'), ())
        return Launch(program, chip, 'ascendc', 4, [Stream((0, 1, 2, 3), timeline, 24)], 5920.0, 3.2, verdict,
                      memory={'UB': 8192, 'L1': 0}, gm_read=65536, gm_written=65536, syncs={'set_flag': 1, 'pipe_barrier': 2}, wall={'data': 0.1})
    return make


@pytest.fixture
def golden():
    """Compares with a file of `golden/`; a missing file is a failure, not a new truth."""
    def check(name, text):
        assert text == (HERE / 'golden' / name).read_text(encoding='utf-8')
    return check
