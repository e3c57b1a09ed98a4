"""CH.5: an expert kernel without one of its flags, waits or barriers is reported, or that one is redundant and listed here by name."""

import functools

import pytest

from tiletwin.backends.analysis import Analyser
from tiletwin.harness.registry import operators
from tiletwin.ir.nodes import Instr, bodies, map_bodies, walk
from tiletwin.machine.chip import chip
from tiletwin.passes.hoist_loads import hoist_loads

# What the absence of each must be called: one word at least, in one case at least.
WORDS = {'set_flag': {'deadlock'}, 'wait_flag': {'race', 'flag'}, 'pipe_barrier': {'race'}, 'set_cross_flag': {'deadlock'}, 'wait_cross_flag': {'race'}}
# Which cases between them exercise every flag of a kernel in both directions.
CASES = {
    'matmul.mkkn_gemm': (('uneven',), ('reuse', 'reuse-small-tiles'), ('source-barrier',)),
    'softmax': (('reuse', 'tail'), ('reuse-half', 'tail-half')),
    'softmax.online': (('reuse', 'tail'), ('tail-half',)),
    'flash_attn.ws3': (('reuse', 'one-step-items', 'minimum', 'source', 'uneven'),),
}
# (operator, case) -> the lines a kernel could do without.
REDUNDANT = {
    # gemm_v0 orders itself after the loads and before the store; source 4 fences it all the same.
    ('matmul.mkkn_gemm', 'source-barrier'): ['T.barrier_all()', 'T.barrier_all()'],
}


@functools.cache
def program_of(name, case_name):
    op = operators()[name]
    case = next(c for c in op.cases if c.name == case_name)
    return op.run_case(case).launches[0].program


def syncs(program):
    """Source lines of the kernel's own synchronisations, one each, and what stands there."""
    return {s.span.line: s for s in walk(program.body) if isinstance(s, Instr) and s.op in WORDS}


def without(body, line):
    """The statements without the synchronisation of a source line."""

    def edit(block):
        kept = (s for s in block if not (isinstance(s, Instr) and s.op in WORDS and s.span.line == line))
        return tuple(map_bodies(s, edit) if bodies(s) else s for s in kept)

    return edit(body)


def findings(program):
    read = {r.buffer for s in walk(program.body) if isinstance(s, Instr) and s.op == 'copy' for r in s.args[:1]}
    written = {r.buffer for s in walk(program.body) if isinstance(s, Instr) and s.op == 'copy' for r in s.args[1:2]}
    poisoned = frozenset(b.name for b in program.tensors if b.name in written)
    assert read
    return Analyser(hoist_loads(program), chip('a3'), 'ascendc', {}, True).run(poisoned).findings


NODES = [(name, group) for name, groups in CASES.items() for group in groups]


@pytest.mark.parametrize('name, group', NODES, ids=[f'{n}-{"+".join(g)}' for n, g in NODES])
def test_every_deletion_is_reported(name, group):
    programs = [program_of(name, case) for case in group]
    lines = {}
    for program in programs:
        lines |= syncs(program)
    silent = []
    for line, gone in sorted(lines.items()):
        words = set()
        for program in programs:
            words |= {f.word for f in findings(program.with_body(without(program.body, line)))}
        if not words:
            silent.append(gone.span.excerpt())
        else:
            assert words & WORDS[gone.op], (gone.span.excerpt(), words)
    assert silent == REDUNDANT.get((name, group[0]), [])


@pytest.mark.parametrize('name, group', NODES, ids=[f'{n}-{"+".join(g)}' for n, g in NODES])
def test_the_kernel_itself_is_clean(name, group):
    for case in group:
        assert not findings(program_of(name, case))
