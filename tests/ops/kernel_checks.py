"""What the tests of single kernels look at: their Program, what it computes, what the sanitizer says, what the pipes do when."""

import torch

import tiletwin
from tiletwin.backends.simulator import simulate
from tiletwin.dtypes import dtype
from tiletwin.harness.mutants import deletions
from tiletwin.harness.registry import operators, platform
from tiletwin.ir.nodes import For, Instr, Scope, bodies, map_bodies, walk
from tiletwin.sim.options import Options


def compiled(factory, *args, chip, **keywords):
    with platform(chip):
        return factory(*args, **keywords)


def run_program(program, chip, inputs, outputs):
    """(output tensors, verdict) of a Program as it stands; outputs and workspaces start poisoned."""
    tensors = dict(zip((b.name for b in program.tensors), inputs))
    for b in program.tensors[len(inputs):]:
        tensors[b.name] = torch.empty(b.dims, dtype=getattr(torch, dtype(b.dtype).name))
    poisoned = frozenset(list(tensors)[len(inputs):])
    launch = simulate(program, tensors, {}, Options(chip=chip), poisoned)
    return [tensors[b.name] for b in program.tensors[len(inputs):len(inputs) + outputs]], launch.verdict


def instructions(program, *ops):
    return [s for s in walk(program.body) if isinstance(s, Instr) and (not ops or s.op in ops)]


def scope(program, core):
    return next(s for s in walk(program.body) if isinstance(s, Scope) and s.core == core)


def loops(block):
    """The loops right inside a statement, in order."""
    return [s for body in bodies(block) for s in body if isinstance(s, For)]


def without(program, op, text):
    """The Program without the synchronisations of one kind whose source line holds `text`."""
    found = [m.program for m in deletions(program) if m.kind == op and text in m.span.excerpt()]
    assert len(found) == 1, (op, text, len(found))
    return found[0]


def without_any(program, op, *args):
    """The Program without every synchronisation of one kind whose first arguments are these."""
    removed = []

    def body(statements):
        gone = [s for s in statements if isinstance(s, Instr) and s.op == op and s.args[:len(args)] == args]
        removed.extend(gone)
        return tuple(map_bodies(s, body) for s in statements if not any(s is x for x in gone))

    found = program.with_body(body(program.body))
    assert removed, (op, args)
    return found


def case_launch(name, case_name, arch):
    op = operators()[name]
    case = next(c for c in op.cases if c.name == case_name)
    return op.run_case(case, 'expert', arch).launches[0]


def launch(name, *inputs, **attributes):
    op = tiletwin.operator(name)
    op(*inputs, **attributes)
    return op.last.launch


def order(timeline, core, pipe, *ops):
    """Operations of a pipe in the order they start."""
    found = [s for s in timeline.slices if (s.core, s.pipe, s.kind) == (core, pipe, 'op') and (not ops or s.op in ops)]
    return sorted(found, key=lambda s: s.start)
