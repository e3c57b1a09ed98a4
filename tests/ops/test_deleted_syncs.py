"""CH.5: an expert kernel without one of its flags, waits or barriers is reported, or that one is redundant and listed here by name."""

import functools
from collections import defaultdict

import pytest
import torch

from tiletwin.backends.analysis import Analyser
from tiletwin.harness.mutants import deletions
from tiletwin.harness.registry import operators
from tiletwin.ir.nodes import Instr, walk
from tiletwin.machine.chip import chip
from tiletwin.passes.hoist_loads import hoist_loads
from tiletwin.sim.execute import DataEngine

# What the absence of each must be called: one word at least, in one case at least.
WORDS = {
    'set_flag': {'deadlock'}, 'wait_flag': {'race', 'flag'}, 'pipe_barrier': {'race'},
    'set_cross_flag': {'deadlock'}, 'wait_cross_flag': {'race', 'flag'},
}
# Which cases between them exercise every flag of a kernel in both directions.
CASES = {
    'matmul.mkkn_gemm': (('uneven',), ('reuse', 'reuse-small-tiles'), ('source-barrier',)),
    'matmul.mknk_f32': (('reuse', 'odd-steps', 'minimum'),),
    'matmul.qk_batched': (('reuse', 'odd-keys', 'minimum', 'uneven'),),
    'matmul_epilogue.abs_add1': (('reuse', 'large-tiles', 'uneven'),),
    'prologue_matmul.abs_sqrt_nd': (('reuse', 'many-items', 'longest', 'uneven'),),
    'hif8_quant.sentinel': (('reuse', 'tail'),),
    'softmax': (('reuse', 'tail'), ('reuse-half', 'tail-half')),
    'softmax.online': (('reuse', 'tail'), ('tail-half',)),
    'w4a8_gemm.workspace_vid': (('reuse', 'uneven', 'minimum', 'tail-m', 'many-blocks'),),
    'w4a8_gemm.vid_eliminated': (('reuse', 'uneven', 'minimum', 'tail-m'),),
    'paged_attn.split_kv': (('reuse', 'tail'),),
    'sparse_flash_attn.workspace_vid': (('uneven', 'minimum'),),
    'sparse_flash_attn.vid_eliminated': (('uneven', 'minimum'),),
    'flash_attn.full': (('reuse', 'one-step-items'),),
    'flash_attn.a5_serial': (('reuse', 'one-step-items', 'minimum', 'uneven'),),
    'flash_attn.a3_4stage': (('items', 'reuse'),),
    'flash_attn.ws3': (('reuse', 'one-step-items', 'minimum', 'source', 'uneven'),),
}
# (operator, case) -> the lines a kernel could do without.
REDUNDANT = {
    # gemm_v0 orders itself after the loads and before the store; source 4 fences it all the same.
    ('matmul.mkkn_gemm', 'source-barrier'): ['T.barrier_all()', 'T.barrier_all()'],
}


def chip_for(name):
    chips = operators()[name].chips
    return 'a3' if 'a3' in chips else chips[0]


@functools.cache
def program_of(name, case_name):
    op = operators()[name]
    case = next(c for c in op.cases if c.name == case_name)
    return op.run_case(case, arch=chip_for(name)).launches[0].program


@functools.cache
def read_values(name, case_name):
    """What the scalar units of the whole kernel read from memory: a mutant without a flag reads the same."""
    op = operators()[name]
    program = hoist_loads(program_of(name, case_name))
    if Analyser(program, chip(chip_for(name)), 'ascendc', {}, True).issuer.depends_on_data is None:
        return None
    inputs = op.variant.make_inputs(next(c for c in op.cases if c.name == case_name))
    made = [torch.empty(b.dims, dtype=getattr(torch, b.dtype)) for b in program.tensors[len(inputs):]]
    tensors = {b.name: x for b, x in zip(program.tensors, (*inputs, *made))}
    return DataEngine(program, 'ascendc', {}).run(tensors, frozenset(b.name for b in program.tensors[len(inputs):]), log=True).logs


def findings(program, on='a3', values=None):
    read = {r.buffer for s in walk(program.body) if isinstance(s, Instr) and s.op == 'copy' for r in s.args[:1]}
    written = {r.buffer for s in walk(program.body) if isinstance(s, Instr) and s.op == 'copy' for r in s.args[1:2]}
    poisoned = frozenset(b.name for b in program.tensors if b.name in written)
    assert read
    return Analyser(hoist_loads(program), chip(on), 'ascendc', {}, True).run(poisoned, values).findings


def place(mutant):
    """A kernel may have macros in other files."""
    return mutant.span.file, mutant.span.line


NODES = [(name, group) for name, groups in CASES.items() for group in groups]


@pytest.mark.parametrize('name, group', NODES, ids=[f'{n}-{"+".join(g)}' for n, g in NODES])
def test_every_deletion_is_reported(name, group):
    words, gone = defaultdict(set), {}
    for case in group:
        for mutant in deletions(program_of(name, case)):
            words[place(mutant)] |= {f.word for f in findings(mutant.program, chip_for(name), read_values(name, case))}
            gone[place(mutant)] = mutant
    silent = [mutant.span.excerpt() for line, mutant in sorted(gone.items()) if not words[line]]
    assert silent == REDUNDANT.get((name, group[0]), [])
    for line, found in words.items():
        assert not found or found & WORDS[gone[line].kind], (gone[line].name, found)


@pytest.mark.parametrize('name, group', NODES, ids=[f'{n}-{"+".join(g)}' for n, g in NODES])
def test_the_kernel_itself_is_clean(name, group):
    for case in group:
        assert not findings(program_of(name, case), chip_for(name), read_values(name, case))
