"""What the rows ask the kernels to show is shown, and every claim about it can fail."""

import functools
from dataclasses import replace

import pytest

from tiletwin.harness.registry import operators
from tiletwin.ir import expr as E
from tiletwin.ir.nodes import For, Instr, Let, Region, Scope, map_bodies
from tiletwin.sim.result import Stream, Timeline

NODES = [(op, claim, mode) for op in operators().values() for claim in op.variant.must_show for mode in claim.modes]
IDS = [f'{op.name}-{claim.rule}-{mode}-{i}' for i, (op, claim, mode) in enumerate(NODES)]


@functools.cache
def launches(name, case, mode):
    op = operators()[name]
    return tuple(op.run_case(next(c for c in op.cases if c.name == case), mode, op.chips[-1]).launches)


def cases(op, claim, mode):
    """The cases a claim names; of those that hold for all, the first."""
    here = [c.name for c in op.cases_in(mode) if not c.slow and (not c.chips or op.chips[-1] in c.chips)]
    return [c for c in here if c in claim.cases] if claim.cases else here[:1]


@pytest.mark.parametrize('op, claim, mode', NODES, ids=IDS)
def test_the_kernel_shows_it(op, claim, mode):
    assert cases(op, claim, mode), f'no case of {claim.says}'
    for case in cases(op, claim, mode):
        assert claim.instead(launches(op.name, case, mode)) == ''


@pytest.mark.parametrize('op', [o for o in operators().values() if o.variant.row], ids=lambda o: o.name)
def test_every_row_claims_something_of_its_expert_form(op):
    assert any('expert' in claim.modes for claim in op.variant.must_show)
    assert all(set(claim.cases) <= {c.name for c in op.cases} and set(claim.modes) <= set(op.modes) for claim in op.variant.must_show)


# -- the same call, spoiled ----------------------------------------------------------------------------------------------
def timeline(change):
    """Other slices on the longest block."""
    def spoil(launch):
        t = launch.timeline
        slices = change([s for s in t.slices if s.kind == 'op'])
        return replace(launch, streams=[Stream((0,), Timeline(slices, [], max((s.end for s in slices), default=1.0), t.busy))])
    return spoil


def one_after_the_other(slices):
    out, now = [], 0.0
    for s in sorted(slices, key=lambda s: (s.pipe, s.start)):
        out.append(replace(s, start=now, end=now + s.end - s.start))
        now = out[-1].end
    return out


def backwards(slices):
    last = max(s.end for s in slices)
    return [replace(s, start=last - s.end, end=last - s.start) for s in slices]


def text(change):
    """Another program."""
    def spoil(launch):
        return replace(launch, program=change(launch.program))
    return spoil


def statements(fn):
    def body(block):
        return tuple(map_bodies(x, body) for s in block for x in fn(s))
    return text(lambda p: p.with_body(body(p.body)))


def buffers(**fields):
    return text(lambda p: replace(p, buffers={n: replace(b, **{k: f(b) for k, f in fields.items()}) for n, b in p.buffers.items()}))


def rerouted(space):
    """Every copy ends in another memory."""
    def change(p):
        extra = {f'{n}_elsewhere': replace(b, name=f'{n}_elsewhere', space=space) for n, b in p.buffers.items()}
        wrong = replace(p, buffers={**p.buffers, **extra})

        def body(block):
            return tuple(map_bodies(elsewhere(s), body) for s in block)

        def elsewhere(s):
            if not (isinstance(s, Instr) and s.op == 'copy'):
                return s
            return replace(s, args=(s.args[0], replace(s.args[1], buffer=f'{s.args[1].buffer}_elsewhere'), *s.args[2:]))
        return wrong.with_body(body(p.body))
    return text(change)


def renamed(old, new):
    """Every instruction of one kind is another."""
    return statements(lambda s: [replace(s, op=new)] if isinstance(s, Instr) and s.op == old else [s])


def constants(value):
    def change(s):
        if isinstance(s, Instr):
            s = replace(s, args=tuple(a if isinstance(a, (Region, str)) else E.Const(value) for a in s.args))
        return [s]
    return statements(change)


def other_rows(s):
    if isinstance(s, Instr) and s.op == 'copy':
        s = replace(s, args=tuple(replace(a, extents=tuple(E.add(e, 1) for e in a.extents)) if isinstance(a, Region) else a for a in s.args))
    return [replace(s, attrs={**s.attrs, 'M': 8}) if isinstance(s, Instr) and 'M' in s.attrs else s]


def vid(add):
    """Every copy depends on the vector core, or none does."""
    def change(p):
        def index(e):
            return E.add(e, p.launch.vid) if add else E.substitute(e, {p.launch.vid.name: E.const(0)})

        def body(block):
            return tuple(map_bodies(at(s), body) for s in block)

        def at(s):
            if isinstance(s, Let):
                return replace(s, value=index(s.value))
            if isinstance(s, Instr) and s.op == 'copy':
                return replace(s, args=tuple(replace(a, starts=tuple(map(index, a.starts))) if isinstance(a, Region) else a for a in s.args))
            return s
        return p.with_body(body(p.body))
    return text(change)


SPOILED = {
    'one instruction at a time': timeline(one_after_the_other),
    'the other way round': timeline(backwards),
    'nothing runs': timeline(lambda slices: []),
    'more is written': lambda x: replace(x, gm_written=x.gm_written + 32, memory={k: v + 32 for k, v in x.memory.items()}),
    'nothing in it': statements(lambda s: []),
    'other dtypes': buffers(dtype=lambda b: 'float16' if b.dtype == 'float32' else 'float32'),
    'other shapes': buffers(shape=lambda b: tuple(E.add(d, 1) for d in b.shape)),
    'everything in L0C': buffers(space=lambda b: 'L0C' if b.space != 'GM' else 'GM'),
    'every copy to UB': rerouted('UB'),
    'every copy to L1': rerouted('L1'),
    'no product': renamed('mma', 'fill'),
    'never from zero': statements(lambda s: [replace(s, args=(*s.args[:3], E.Const(False, 'bool')))]
                                  if isinstance(s, Instr) and s.op in ('mma', 'gemm_v0') else [s]),
    'endless constants': constants(float('inf')),
    'other numbers': statements(other_rows),
    'no vid': vid(False),
    'vid everywhere': vid(True),
    'one kind of core': statements(lambda s: list(s.body) if isinstance(s, Scope) else [s]),
    'no loop': statements(lambda s: list(s.body) if isinstance(s, For) else [s]),
    'flags in another order': statements(lambda s: [replace(s, op='wait_cross_flag', args=(s.args[1], s.args[0]))]
                                         if isinstance(s, Instr) and s.op == 'set_cross_flag' else [s]),
    'multiplied maxima': renamed('max', 'mul'),
    'truncating casts': statements(lambda s: [replace(s, args=(*s.args[:2], 'CAST_FLOOR', *s.args[3:]))]
                                   if isinstance(s, Instr) and s.op == 'cast' else [s]),
    'comparisons of tiles': statements(lambda s: [replace(s, args=(*s.args[:2], s.args[1], *s.args[3:]))]
                                       if isinstance(s, Instr) and s.op.startswith('compare') else [s]),
    'barriers': renamed('set_flag', 'pipe_barrier'),
}


@pytest.mark.parametrize('op, claim, mode', NODES, ids=IDS)
def test_the_claim_can_fail(op, claim, mode):
    """Of the same call with something spoiled, one at least no longer shows it."""
    right = launches(op.name, cases(op, claim, mode)[0], mode)
    assert any(claim.instead(tuple(spoil(x) for x in right)) for spoil in SPOILED.values())


@pytest.mark.parametrize('name', SPOILED)
def test_no_way_of_spoiling_is_idle(name):
    assert any(claim.instead(tuple(SPOILED[name](x) for x in launches(op.name, cases(op, claim, mode)[0], mode))) for op, claim, mode in NODES)
