"""`kernel.time`, meta tensors and long blocks: what a launch costs, with no tensor in memory."""

import resource

import pytest
import torch

import tiletwin
from pass_configs import EXPERT
from tiletwin import language as T
from tiletwin.errors import CallError, TileTwinError, UnsupportedError
from tiletwin.harness.cost import cost
from tiletwin.harness.registry import Last
from tiletwin.report.trace import chrome
from tiletwin.sim import result


@tiletwin.jit(out_idx=[1], pass_configs=EXPERT)
def plus(rows):
    """The first 64 rows and one."""
    @T.prim_func
    def main(X: T.Tensor((rows, 64), 'float16'), Y: T.Tensor((rows, 64), 'float16')):
        with T.Kernel(2, is_npu=True) as (cid, vid):
            u = T.alloc_ub((16, 64), 'float16')
            with T.Scope('V'):
                T.copy(X[(cid * 2 + vid) * 16, 0], u)
                T.set_flag('mte2', 'v', 0)
                T.wait_flag('mte2', 'v', 0)
                T.tile.add(u, u, 1.0)
                T.set_flag('v', 'mte3', 0)
                T.wait_flag('v', 'mte3', 0)
                T.copy(u, Y[(cid * 2 + vid) * 16, 0])
    return main


@pytest.fixture(scope='module')
def open_rows():
    """The same with rows that the caller brings."""
    return plus(T.symbolic('M'))


def facts(launch):
    return launch.cycles, launch.blocks, launch.verdict.findings, launch.gm_read, launch.gm_written, launch.traffic


def computed(kernel, rows=64):
    x = torch.zeros(rows, 64, dtype=torch.float16)
    assert kernel(x)[:64].eq(1).all()
    return facts(kernel.last)


HANDED = {'shapes': lambda: ((64, 64),), 'a list': lambda: ([64, 64],), 'a meta tensor': lambda: (torch.empty(64, 64, dtype=torch.float16, device='meta'),),
          'a tensor': lambda: (torch.empty(64, 64, dtype=torch.float16),), 'nothing': tuple}


@pytest.mark.parametrize('how', HANDED)
def test_a_call_without_data_costs_what_it_costs_with(how):
    kernel = plus(64)
    assert facts(kernel.time(*HANDED[how]())) == computed(kernel)


def test_symbolic_sizes_follow_from_shapes_or_names(open_rows):
    assert facts(open_rows.time((64, 64))) == facts(open_rows.time(M=64)) == computed(open_rows)


def test_tensors_no_host_memory_holds_are_timed(open_rows):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert open_rows.time(M=2**33).gm_read == 64 * 64 * 2
    (out,) = [open_rows(torch.empty(2**33, 64, dtype=torch.float16, device='meta'))]
    assert out.is_meta and out.shape == (2**33, 64) and out.dtype == torch.float16
    # One of the two tensors has 2**40 bytes.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20


WRONG = {
    'a missing size': (lambda k: k.time(), 'dimension M'),
    'sizes beside arguments': (lambda k: k.time((64, 64), M=64), 'sizes by name'),
    'another rank': (lambda k: k.time((64, 64, 1)), 'X'),
    'another width': (lambda k: k.time((64, 32)), 'X'),
    'two arguments': (lambda k: k.time((64, 64), (64, 64)), ''),
    'another type': (lambda k: k.time(torch.empty(64, 64, dtype=torch.float32, device='meta')), 'float32'),
    'a text': (lambda k: k.time('64x64'), 'X'),
}


@pytest.mark.parametrize('wrong', WRONG)
def test_a_call_that_does_not_fit_is_refused(wrong, open_rows):
    call, said = WRONG[wrong]
    with pytest.raises(TileTwinError) as refused:
        call(open_rows)
    assert isinstance(refused.value, CallError) and said in str(refused.value)


def test_outputs_are_left_unwritten(monkeypatch):
    monkeypatch.setenv('TILETWIN_DATA', '0')
    assert plus(64)(torch.zeros(64, 64, dtype=torch.float16)).isnan().all()


def test_a_block_too_long_to_list_has_its_figures_and_refuses_the_rest(monkeypatch):
    whole = cost([plus(64).time()])
    assert whole.critical
    monkeypatch.setattr(result, 'LISTED', 3)
    kernel = plus(80)
    long = kernel.time()
    assert long.timeline.count == sum(times for _, times in long.timeline.weighted) > 3
    found = cost([long])
    assert found.cycles == long.cycles and found.busy and not found.critical
    with pytest.raises(UnsupportedError, match='too long to look at one by one') as refused:
        chrome(long)
    assert 'tiletwin time' in str(refused.value)


def test_a_record_says_in_one_line_what_it_is_of():
    launch = plus(64).time()
    assert repr(launch) == f'<Launch main on a3, 2 blocks: {launch.microseconds:.2f} us modelled, clean>'
    assert repr(Last((launch,), 'expert')) == f"Last(launches=({launch!r},), mode='expert')"
