"""The simulator through the protocol every backend has."""

import pytest
import torch

import tiletwin
from tiletwin import language as T
from tiletwin.backends.choose import BACKENDS, backend, simulated
from tiletwin.backends.protocol import COMPILE, MODELLED, RUN, TIME, CompileOptions, require
from tiletwin.errors import EnvironmentError_


def factory(n):
    @T.prim_func
    def main(X: T.Tensor((n, 64), 'float32'), Y: T.Tensor((n, 64), 'float32')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            u = T.alloc_ub((n, 64), 'float32')
            with T.Scope('V'):
                T.copy(X, u)
                T.barrier_all()
                T.tile.exp(u, u)
                T.barrier_all()
                T.copy(u, Y)

    return main


def test_the_simulator_is_in_force_and_does_everything(monkeypatch):
    monkeypatch.delenv('TILETWIN_BACKEND', raising=False)
    found = backend()
    assert found.name == 'simulator' and [c.name for c in found.capabilities() if c.ok] == [COMPILE, RUN, TIME]
    simulated('anything')


@pytest.mark.parametrize('make', [lambda on: on.jit(None, CompileOptions(out_idx=[1]))(factory)(8), lambda on: on.jit(factory, CompileOptions(out_idx=1))(8),
                                  lambda on: on.compile(factory(8), CompileOptions(out_idx=-1))])
def test_compile_run_and_time(make):
    on = backend('simulator')
    kernel, x = make(on), torch.randn(8, 64)
    (y,) = on.run(kernel, (x,))
    assert torch.allclose(y, x.exp())
    timing = on.time(kernel, (x,), 1)
    assert timing.kind == MODELLED == on.kind and timing.samples == (timing.microseconds,) == (kernel.last.microseconds,)


def test_chips_and_cores_of_the_simulator():
    on = backend('simulator')
    assert (on.chip(None), on.chip('A5'), on.device) == ('a3', 'a5', 'cpu')
    assert [on.cores(chip) for chip in ('a2', 'a3', 'a5')] == [tiletwin.chip(chip).cube_cores for chip in ('a2', 'a3', 'a5')]


@pytest.mark.parametrize('by', ['name', 'environment'])
def test_an_unknown_backend_is_refused_with_the_known_ones(monkeypatch, by):
    if by == 'environment':
        monkeypatch.setenv('TILETWIN_BACKEND', 'cuda')
    with pytest.raises(EnvironmentError_, match='is no backend(.|\n)*' + ', '.join(BACKENDS)):
        backend('cuda' if by == 'name' else None)


def test_a_chosen_backend_that_cannot_work_is_refused_at_the_first_kernel(monkeypatch):
    monkeypatch.setenv('TILETWIN_BACKEND', 'ascend')
    decorated = tiletwin.jit(out_idx=[1])(factory)
    for act in (lambda: decorated(8), lambda: tiletwin.compile(factory(8)), lambda: require(backend(), RUN, 'softmax'), lambda: simulated('compare')):
        with pytest.raises(EnvironmentError_, match='ascend'):
            act()


def test_a_warning_of_the_passes_belongs_to_the_line_that_asked():
    import warnings

    configs = {'tl.ascend_auto_cross_core_sync': True}
    for ask in (lambda: tiletwin.jit(out_idx=[1], pass_configs=configs)(factory)(16), lambda: tiletwin.compile(factory(16), out_idx=[1], pass_configs=configs)):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter('always')
            ask()
        assert {w.filename for w in seen} <= {__file__} and seen
