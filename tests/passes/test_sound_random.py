"""Profile `sound` on random kernels: what the passes insert and place is enough, for every trip count."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tiletwin.backends.analysis import Analyser
from tiletwin.ir.nodes import Instr, walk
from tiletwin.ir.printer import text
from tiletwin.machine.chip import Memory, chip
from tiletwin.passes.context import AUTO_SYNC, MEMORY_PLANNING, PassContext
from tiletwin.passes import hoist_loads, inject_tmp, memory_planning, sync_insert
from tiletwin.errors import CapacityError
from tiletwin.sim.execute import DataEngine

from .random_kernels import kernel

TRIPS = [(0, 0), (1, 0), (0, 2), (1, 1), (2, 3), (4, 2)]
BAD = {'race', 'flag', 'deadlock', 'uninit', 'oob', 'misaligned'}


def lowered(program, on, profile='sound', configs=(AUTO_SYNC, MEMORY_PLANNING)):
    ctx = PassContext(on, 'ascendc', frozenset(configs), profile)
    for step in (inject_tmp, memory_planning, sync_insert):
        program = step.run(program, ctx)
    return program


def findings(program, on, n, m):
    run = Analyser(hoist_loads.hoist_loads(program), on, 'ascendc', {'n': n, 'm': m}, True).run(frozenset())
    return [f'{f.word}: {f.message} {[str(s.span) for s in f.sides]}' for f in run.findings if f.word in BAD]


def check(program, on):
    for n, m in TRIPS:
        found = findings(program, on, n, m)
        assert not found, f'n={n} m={m}: {found[0]}\n{text(program, spans=True)}'


@pytest.mark.parametrize('name', ['a3', 'a5'])
@given(rng=st.randoms(use_true_random=False))
def test_inserted_synchronisation_is_enough(name, rng):
    on = chip(name)
    check(lowered(kernel(rng, planned=False), on), on)


@given(rng=st.randoms(use_true_random=False))
def test_tiles_that_share_bytes_are_ordered(rng):
    """Addresses fixed at random, so that tiles overlap in part."""
    program = kernel(rng, planned=False)
    buffers = {n: replace(b, address=rng.randrange(4) * 2048, annotated=True) if b.space != 'GM' else b for n, b in program.buffers.items()}
    check(lowered(replace(program, buffers=buffers), chip('a3'), configs=(AUTO_SYNC,)), chip('a3'))


@given(rng=st.randoms(use_true_random=False))
def test_planned_tiles_keep_their_values(rng):
    """A memory so small that tiles must share it gives the results of one where none does."""
    program = kernel(rng, planned=True)
    small = replace(chip('a3'), memories={s: Memory(14 * 1024 if s in ('UB', 'L1') else m.bytes, m.align) for s, m in chip('a3').memories.items()})
    try:
        tight = lowered(program, small)
    except CapacityError as error:
        assert 'in use' in str(error) and 'line' in str(error)
        return
    roomy = lowered(program, chip('a3'), configs=())
    check(tight, chip('a3'))
    for n, m in TRIPS:
        out = [results(p, n, m) for p in (tight, roomy)]
        assert all(torch.equal(out[0][t].view(torch.uint8), out[1][t].view(torch.uint8)) for t in out[0]), text(tight, spans=True)


def results(program, n, m):
    generator = torch.Generator().manual_seed(1)
    tensors = {b.name: torch.rand(b.dims, generator=generator).to(getattr(torch, b.dtype)) for b in program.tensors}
    DataEngine(hoist_loads.hoist_loads(program), 'ascendc', {'n': n, 'm': m}).run(tensors, frozenset())
    return tensors


@given(rng=st.randoms(use_true_random=False))
def test_no_flag_is_superfluous_in_straight_line_code(rng):
    """Take away any pair of flags or any barrier of a kernel without loops and branches, and it races."""
    program = kernel(rng, planned=False)
    # Left out: what the sanitizer does not see, the scratch of reductions and broadcasts and the scalar merge of `clear=False`.
    body = tuple(replace(s, body=tuple(x for x in s.body if isinstance(x, Instr) and x.op not in ('reduce', 'broadcast'))) for s in program.body)
    on = chip('a3')
    done = lowered(replace(program, body=body), on)
    syncs = [s for s in walk(done.body) if isinstance(s, Instr) and s.origin == 'sync_insert']
    for s in syncs:
        if s.op == 'pipe_barrier':
            gone = {id(s)}
        elif s.op == 'set_flag':
            wait = next(w for w in syncs[syncs.index(s):] if w.op == 'wait_flag' and w.args == s.args)
            gone = {id(s), id(wait)}
        else:
            continue
        less = tuple(replace(b, body=tuple(x for x in b.body if id(x) not in gone)) for b in done.body)
        assert findings(replace(done, body=less), on, 1, 1), f'superfluous: {s}\n{text(done, spans=True)}'
