"""Skipping a repetition changes nothing: cycles, busy times, every slice and arrow, findings with their counts, bytes."""

import contextlib
import functools
import importlib
import pkgutil
import random
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import known_bugs
from tests.backends import looping
from tests.passes.random_blocks import PARAMS, source
from tests.passes.run_sound import ALL
from tests.passes.small import build
from tiletwin.backends import simulator
from tiletwin.backends.analysis import Analyser
from tiletwin.backends.shapes import bind_shapes
from tiletwin.errors import TileTwinError
from tiletwin.harness.mutants import deletions
from tiletwin.harness.registry import operators
from tiletwin.machine.chip import chip as chip_of
from tiletwin.passes.hoist_loads import hoist_loads
from tiletwin.passes.pipeline import lower
from tiletwin.sim import repeat, stream


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Repetitions too small to pay are skipped as well."""
    monkeypatch.setattr(repeat, 'WORTH', 1)


@pytest.fixture
def tiny(monkeypatch):
    """Loop bodies of a few instructions count."""
    monkeypatch.setattr(stream, 'SHORT', 2)


def analyse(program, scalars=None, chip='a3', target='ascendc', poisoned=frozenset(), sanitize=True, skip=True):
    poisoned |= frozenset(program.attrs.get('auto_gm', ()))
    return Analyser(hoist_loads(program), chip_of(chip), target, scalars or {}, sanitize, skip=skip).run(poisoned)


def record(found):
    blocks = [(s.blocks, s.timeline.cycles, s.timeline.busy, s.timeline.slices, s.timeline.arrows, s.events) for s in found.streams]
    return found.cycles, blocks, found.findings, found.gm_read, found.gm_written, found.checker.rewritten if found.checker else None


def skipped(program, *args, **options):
    """Events skipped in a launch that comes out as it does in full."""
    short, long = analyse(program, *args, **options), analyse(program, *args, **options, skip=False)
    assert record(short) == record(long)
    for stream_ in short.streams:
        ops = [s for s in stream_.timeline.slices if s.kind == 'op']
        assert sum(times for s, times in stream_.timeline.weighted if s.kind == 'op') == len(ops)
    assert long.simulated - short.simulated == 0 or short.simulated < long.simulated
    return long.simulated - short.simulated


# -- operators ----------------------------------------------------------------------------------------------------------
# Enough trips for steady states, tails and rings that the trips are no multiple of.
SHAPES = {
    'flash_attn.ws3': dict(B=1, H=1, S=6144, D=128, cores=48), 'flash_attn.full': dict(BH=1, S1=256, S2=4352, D=128, cores=2),
    'flash_attn.a5_serial': dict(B=1, H=1, S=8192, D=128, cores=64),
    'matmul.mkkn_gemm': dict(M=264, N=600, K=4200, cores=2), 'matmul.mknk_f32': dict(M=512, N=512, K=1024, cores=4),
    'softmax': dict(M=1777, N=1000, cores=4), 'softmax.online': dict(M=64, N=30000, cores=2),
}


@functools.cache
def launches(name, mode):
    """(program, scalars, chip, target, poisoned) of every launch of a call."""
    found = []
    op = operators()[name]
    case = next(c for c in op.cases_in(mode) if c.purpose == 'reuse') if any(c.purpose == 'reuse' for c in op.cases_in(mode)) else op.cases_in(mode)[0]
    sizes, attributes = case.sizes, op.attributes_in(case, mode)
    if mode == 'expert' and name in SHAPES:
        sizes = {d: SHAPES[name][d] for d in op.dims}
        attributes = {k: v for k, v in SHAPES[name].items() if k in op.variant.attributes}

    def clock(program, scalars, chip, target='ascendc', sanitize=True, poisoned=frozenset()):
        found.append((program, scalars, chip, target, poisoned))
        return plain(program, scalars, chip, target, sanitize, poisoned)

    plain, simulator.clock = simulator.clock, clock
    with warnings.catch_warnings(), contextlib.suppress(TileTwinError):
        warnings.simplefilter('ignore')
        try:
            op.time(sizes, case.dtypes, mode, op.chips[-1], **attributes)
        finally:
            simulator.clock = plain
    return found


NODES = [(name, mode) for name, op in operators().items() for mode in op.modes if op.variant.family not in ('paged_attn', 'sparse_flash_attn')]


@pytest.mark.parametrize('name, mode', NODES, ids=[f'{n}-{m}' for n, m in NODES])
def test_an_operator_comes_out_the_same(name, mode):
    found = launches(name, mode)
    assert found
    total = sum(skipped(*launch) for launch in found)
    assert total > 0 or name not in SHAPES or mode == 'developer'


@pytest.mark.parametrize('name', ['matmul.mkkn_gemm', 'softmax.online'])
def test_without_checkers_too(name):
    assert sum(skipped(*launch, sanitize=False) for launch in launches(name, 'expert')) > 0


# -- broken operators ---------------------------------------------------------------------------------------------------
BROKEN = [(name, i) for name, step in (('flash_attn.ws3', 5), ('matmul.mkkn_gemm', 10), ('softmax.online', 10)) for i in range(0, 40, step)]


@pytest.mark.parametrize('name, i', BROKEN, ids=[f'{n}-{i}' for n, i in BROKEN])
def test_an_operator_without_one_of_its_flags_comes_out_the_same(name, i):
    program, *rest = launches(name, 'expert')[0]
    mutants = list(deletions(program))
    skipped(mutants[i % len(mutants)].program, *rest)


# -- random kernels -----------------------------------------------------------------------------------------------------
@settings(max_examples=20)
@given(st.integers(0, 10**9), st.sampled_from((1, 2)), st.sampled_from(('a3', 'a5')), st.sampled_from(('fork', 'sound')), st.sampled_from((5, 11, 16)))
def test_random_kernels_come_out_the_same(seed, threads, chip, profile, trips):
    program = build(source(random.Random(seed)), PARAMS, threads=threads)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            lowered = lower(program, ALL, profile=profile, chip=chip)
    except TileTwinError:
        return
    skipped(lowered, {'n': trips, 'm': 3}, chip, poisoned=frozenset({'C', 'D'}))


# -- known bugs ---------------------------------------------------------------------------------------------------------
CORPUS = {m.name: importlib.import_module(f'{known_bugs.__name__}.{m.name}').CASE for m in pkgutil.iter_modules(known_bugs.__path__)
          if m.name not in ('case', 'test_known_bugs')}


@pytest.mark.usefixtures('tiny')
@pytest.mark.parametrize('slug', CORPUS)
def test_a_known_bug_comes_out_the_same(slug, monkeypatch):
    case = CORPUS[slug]
    for profile in ('fork', 'sound'):
        if getattr(case, profile).refusal:
            continue
        monkeypatch.setenv('TILETWIN_PROFILE', profile)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            kernel = case.broken()
            bound = kernel.convention.bind(case.inputs(), False, True)
        skipped(kernel.program, bound.scalars, kernel.platform.lower(), kernel.target, bound.poisoned)


# -- loops by hand ------------------------------------------------------------------------------------------------------
def launch_of(kernel):
    bound = bind_shapes(kernel.convention, (), {})
    return kernel.program, bound.scalars, 'a3', kernel.target, bound.poisoned


def words(kernel):
    return {f.word for f in analyse(*launch_of(kernel)).findings}


RINGS = [dict(trips=trips, slots=slots, **more) for trips, slots in ((40, 2), (41, 3), (7, 2), (50, 4))
         for more in ({}, {'ragged': True}, {'left': True}, {'shared': True}, {'in_place': True})]


@pytest.mark.usefixtures('tiny')
@pytest.mark.parametrize('options', RINGS, ids=[' '.join(f'{k}={v}' for k, v in o.items()) for o in RINGS])
def test_a_ring_comes_out_the_same(options):
    kernel = looping.ring(**options)
    assert skipped(*launch_of(kernel)) > 0 or options['trips'] < 10 or 'in_place' in options
    assert ('flag' in words(kernel)) == bool(options.get('left'))


@pytest.mark.usefixtures('tiny')
@pytest.mark.parametrize('late', [0, 1, 5, 30, 37, 38, 39])
def test_a_race_that_begins_late_is_found(late):
    kernel = looping.ring(40, 2, late=late)
    # A flag that is set more often than waited for piles up, which is no repetition; one nobody ever waits for is left alone.
    assert skipped(*launch_of(kernel)) > 0 or 0 < late < 30
    assert 'race' in words(kernel)


@pytest.mark.usefixtures('tiny')
@pytest.mark.parametrize('late', [3, 30, 38])
def test_bytes_that_were_never_loaded_are_found_late(late):
    kernel = looping.beyond(40, late)
    assert skipped(*launch_of(kernel)) > 0
    assert words(kernel) == {'uninit'}


@pytest.mark.usefixtures('tiny')
@pytest.mark.parametrize('trips', [1, 9, 40])
def test_blocks_that_meet_come_out_the_same(trips):
    assert skipped(*launch_of(looping.meeting(trips))) > 0 or trips < 10


@pytest.mark.usefixtures('tiny')
@pytest.mark.parametrize('back', [True, False], ids=['answered', 'overflowing'])
def test_a_producer_and_its_consumer_come_out_the_same(back):
    kernel = looping.one_way(40, back)
    assert skipped(*launch_of(kernel)) > 0 or not back
    assert ('flag' in words(kernel)) != back


@pytest.mark.usefixtures('tiny')
def test_nested_loops_are_skipped_inside_and_outside():
    kernel = looping.nested(30, 24)
    whole = analyse(*launch_of(kernel), skip=False).simulated
    assert whole - skipped(*launch_of(kernel)) < whole / 10


@pytest.mark.usefixtures('tiny')
def test_a_loop_that_keeps_its_own_count_is_skipped():
    assert skipped(*launch_of(looping.counting(40))) > 0


@pytest.mark.usefixtures('tiny')
def test_two_cores_of_different_pace_are_skipped():
    assert skipped(*launch_of(looping.uneven(40))) > 0


@pytest.mark.usefixtures('tiny')
def test_a_slow_approach_to_the_steady_state_comes_out_the_same():
    """The scalar unit gains a little on the pipes with every trip: which of them waits changes late."""
    for trips in (20, 90, 400):
        assert skipped(*launch_of(looping.lagging(trips))) > 0 or trips < 50
