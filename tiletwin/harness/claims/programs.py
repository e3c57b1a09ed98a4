"""Claims about the program that runs."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable, Sequence

from ...ir import expr as E
from ...ir.nodes import For, Instr, Let, Program, Region, Scope, Store, bodies, walk
from ...ir.ops import OPS, letters
from ...sim.result import Launch
from .claim import BOTH, DEVELOPER, EXPERT, Claim

CROSS = ('set_cross_flag', 'wait_cross_flag')


def instructions(program: Program, *ops: str) -> list[Instr]:
    return [s for s in walk(program.body) if isinstance(s, Instr) and (not ops or s.op in ops)]


def scope(program: Program, core: str) -> tuple:
    """The statements of one kind of core."""
    return tuple(s for block in walk(program.body) if isinstance(block, Scope) and block.core == core for s in block.body)


def of_program(rule: str, says: str, instead: Callable[[Program], str], *cases: str, modes: tuple[str, ...] = EXPERT) -> Claim:
    """`instead` of every program that was launched."""
    def every(launches: Sequence[Launch]) -> str:
        return next(filter(None, (instead(x.program) for x in launches)), '')
    return Claim(rule, says, 'program', every, cases, modes)


def routes(rule: str, *cases: str, has: Sequence[str] = (), never: Sequence[str] = (), modes: tuple[str, ...] = EXPERT) -> Claim:
    """Ways that copies take, as 'L0C GM'."""
    def instead(p: Program) -> str:
        found = {' '.join(p.buffers[r.buffer].space for r in s.args[:2]) for s in instructions(p, 'copy')}
        return ', '.join([f'no copy {way}' for way in has if way not in found] + [f'a copy {way}' for way in never if way in found])
    says = '; '.join([f'{way.replace(" ", " to ")}' for way in has] + [f'never {way.replace(" ", " to ")}' for way in never])
    return of_program(rule, f'tiles go {says}', instead, *cases, modes=modes)


def uses(rule: str, *cases: str, has: Sequence[str] = (), never: Sequence[str] = (), modes: tuple[str, ...] = EXPERT) -> Claim:
    """Instructions of the program."""
    def instead(p: Program) -> str:
        found = {s.op for s in instructions(p)}
        return ', '.join([f'no {op}' for op in has if op not in found] + [op for op in never if op in found])
    return of_program(rule, ', '.join([*has, *(f'no {op}' for op in never)]), instead, *cases, modes=modes)


def tiles(rule: str, *cases: str, modes: tuple[str, ...] = EXPERT, **wanted: tuple[Any, ...]) -> Claim:
    """Tiles by name: (memory, dtype, *dims); '' and None match anything."""
    def instead(p: Program) -> str:
        wrong = []
        for name, (space, kind, *dims) in wanted.items():
            b = p.buffers.get(name)
            held = b and (b.space == space or not space) and (b.dtype == kind or not kind) \
                and len(b.shape) == len(dims) and all(d is None or E.int_value(n) == d for n, d in zip(b.shape, dims))
            if not held:
                wrong.append(f'no {name}' if b is None else f'{name} is {b.dtype}[{", ".join(map(E.text, b.shape))}] in {b.space}')
        return ', '.join(wrong)
    says = ', '.join(f'{name} is {kind}{[*dims]} in {space}' for name, (space, kind, *dims) in wanted.items())
    return of_program(rule, says, instead, *cases, modes=modes)


def spaces(rule: str, *wanted: str, cases: tuple[str, ...] = (), modes: tuple[str, ...] = DEVELOPER) -> Claim:
    """The memories that hold tiles, and no other."""
    def instead(p: Program) -> str:
        found = {b.space for b in p.on_chip()}
        return '' if found == set(wanted) else ', '.join(sorted(found))
    return of_program(rule, f'tiles lie in {", ".join(wanted)} and nowhere else', instead, *cases, modes=modes)


def starts_afresh(rule: str, *cases: str, modes: tuple[str, ...] = BOTH) -> Claim:
    """An accumulator begins with its first product."""
    def instead(p: Program) -> str:
        found = instructions(p, 'mma', 'gemm_v0')
        started = {s.args[2].buffer for s in found if not (isinstance(s.args[3], E.Const) and not s.args[3].value)}
        never = sorted({s.args[2].buffer for s in found} - started)
        return (f'nothing starts {", ".join(never)}' if never else '') if found else 'no product'
    return of_program(rule, 'products start from zero, at the latest in the first step of K', instead, *cases, modes=modes)


def flags(rule: str, *cases: str, **wanted: Sequence[str]) -> Claim:
    """Cross flags per kind of core in program order, as 'set 0 FIX' and 'wait 1 MTE1'; kinds of pipes are left out where the text has none."""
    def instead(p: Program) -> str:
        wrong = []
        for core, texts in wanted.items():
            found = [_flag(s) for s in walk(scope(p, core)) if isinstance(s, Instr) and s.op in CROSS]
            if [f[:len(w)] for f, w in zip(found, texts)] != list(texts) or len(found) != len(texts):
                wrong.append(f'{core}: {", ".join(found) or "none"}')
        return '; '.join(wrong)
    return of_program(rule, '; '.join(f'{core}: {", ".join(texts)}' for core, texts in wanted.items()), instead, *cases)


def _flag(s: Instr) -> str:
    if s.op == 'set_cross_flag':
        return f'set {E.text(s.args[1])} {s.args[0]}'
    return f'wait {E.text(s.args[0])} {s.args[1]}'.rstrip()


def signals(rule: str, *cases: str, **wanted: Sequence[str]) -> Claim:
    """Pipes that tell the other kind of core, per kind of core, and the number of places that do."""
    def instead(p: Program) -> str:
        found = {core: Counter(s.args[0] for s in walk(scope(p, core)) if isinstance(s, Instr) and s.op == 'set_cross_flag') for core in wanted}
        return '' if all(found[core] == Counter(w) for core, w in wanted.items()) else str({c: dict(f) for c, f in found.items()})
    return of_program(rule, '; '.join(f'{core} signals from {", ".join(w)}' for core, w in wanted.items()), instead, *cases)


def stages(rule: str, says: str, core: str, trips: Sequence[int], *cases: str) -> Claim:
    """The loops with cross flags inside the loop over work items have these trips."""
    def instead(p: Program) -> str:
        found = [E.int_value(x.extent) for x in staged(p, core)]
        return '' if found == list(trips) else str(found)
    return of_program(rule, says, instead, *cases)


def staged(p: Program, core: str) -> list[For]:
    items = next((s for s in scope(p, core) if isinstance(s, For) and _crosses(s)), None)
    return [x for body in (bodies(items) if items else ()) for x in body if isinstance(x, For) and _crosses(x)]


def _crosses(s: For) -> bool:
    return any(isinstance(x, Instr) and x.op in CROSS for x in walk(s.body))


def operands(rule: str, kind: str, *ops: str, cases: tuple[str, ...] = (), modes: tuple[str, ...] = EXPERT) -> Claim:
    """Every tile these instructions touch has this dtype."""
    def instead(p: Program) -> str:
        found = {p.buffers[r.buffer].dtype for s in instructions(p, *ops) for r in s.args if isinstance(r, Region)}
        return '' if found == {kind} else ', '.join(sorted(found)) or f'none of {", ".join(ops)}'
    return of_program(rule, f'{", ".join(ops)} work on {kind}', instead, *cases, modes=modes)


def constants(p: Program) -> list[Any]:
    """Scalars that instructions take."""
    given = [E.as_expr(a) for s in instructions(p) for a in s.args if not isinstance(a, (Region, str))]
    return [e.value for a in given for e in E.walk(a) if isinstance(e, E.Const)]


def sentinel(rule: str, value: float, *cases: str, modes: tuple[str, ...] = EXPERT) -> Claim:
    """What a running maximum starts from: finite, and no constant is infinite."""
    def instead(p: Program) -> str:
        found = constants(p)
        endless = [v for v in found if isinstance(v, float) and abs(v) == float('inf')]
        return '' if value in found and not endless else 'an infinite constant' if endless else f'no {value:g}'
    return of_program(rule, f'a maximum starts at {value:g}, and nothing is infinite', instead, *cases, modes=modes)


def _by_vid(p: Program, core: str) -> list[bool]:
    """Of the copies of a kind of core that touch GM: whether their place depends on the vector core."""
    moved = [s for s in walk(scope(p, core)) if isinstance(s, Instr) and s.op == 'copy' and 'GM' in {p.buffers[r.buffer].space for r in s.args[:2]}]
    lets = {s.var.name: E.free_vars(s.value) for s in walk(scope(p, core)) if isinstance(s, Let)}

    def depends(names: frozenset[str]) -> bool:
        return p.launch.vid.name in names or any(depends(lets[n]) for n in names if n in lets)
    return [any(depends(E.free_vars(e)) for r in s.args[:2] for e in r.starts) for s in moved]


def shared_rows(rule: str, *cases: str, modes: tuple[str, ...] = EXPERT) -> Claim:
    """Each vector core loads and stores rows of its own."""
    def instead(p: Program) -> str:
        found = _by_vid(p, 'V')
        return '' if found and all(found) else f'{found.count(False)} of {len(found)} copies know no vid'
    return of_program(rule, 'the vector cores share the rows of a tile, in every load and store', instead, *cases, modes=modes)


def whole_blocks(rule: str, *cases: str, modes: tuple[str, ...] = EXPERT) -> Claim:
    def instead(p: Program) -> str:
        found = _by_vid(p, 'C')
        return '' if found and not any(found) else 'vid in a copy of the cube core' if found else 'no copy of the cube core'
    return of_program(rule, 'the cube core moves whole blocks and knows no vid', instead, *cases, modes=modes)


def narrow_factors(rule: str, wide: int, narrow: int, *cases: str) -> Claim:
    """Operations of a wide tile with one factor per row take slices of `wide` columns and a factor tile of `narrow`."""
    def instead(p: Program) -> str:
        found = [s for s in instructions(p) if s.op.startswith('row_expand_')]
        slices = {E.int_value(r.extents[-1]) for s in found for r in s.args[:2]}
        factors = {E.int_value(p.buffers[s.args[2].buffer].shape[-1]) for s in found}
        return '' if (slices, factors) == ({wide}, {narrow}) else f'slices of {sorted(slices)}, factors of {sorted(factors)}'
    return of_program(rule, f'rows are scaled {wide} columns at a time, by factors that lie {narrow} times over', instead, *cases)


def columns(rule: str, *cases: str) -> Claim:
    """Row state is neither copied as a tile nor touched by scalar code."""
    def instead(p: Program) -> str:
        state = {b.name for b in p.on_chip('UB') if E.int_value(b.shape[-1]) == 1}
        copied = {r.buffer for s in instructions(p, 'copy') for r in s.args[:2]} & state
        stored = {s.buffer for s in walk(p.body) if isinstance(s, Store)} & state
        return ', '.join(sorted(copied | stored)) if state else 'no row state'
    return of_program(rule, 'row state is copied by an addition', instead, *cases)


def waits(rule: str, says: str, core: str, stage: int, wanted: Sequence[int], *cases: str) -> Claim:
    """Cross flags that a stage (see `stages`) waits for, in order."""
    def instead(p: Program) -> str:
        body = next((x.body for x in staged(p, core)[stage:stage + 1]), ())
        found = [E.int_value(s.args[0]) for s in walk(body) if isinstance(s, Instr) and s.op == 'wait_cross_flag']
        return '' if found == list(wanted) else f'waits for {found}'
    return of_program(rule, says, instead, *cases)


def writers(rule: str, names: Sequence[str], allowed: Sequence[str], *cases: str) -> Claim:
    """Instructions that write these tiles."""
    def instead(p: Program) -> str:
        found = {s.op for s in instructions(p) for a, letter in zip(s.args, letters(OPS[s.op], len(s.args)))
                 if isinstance(a, Region) and letter in 'wm' and a.buffer in names}
        return ', '.join(sorted(found - set(allowed))) if found else 'nothing'
    return of_program(rule, f'{" and ".join(names)} are written by {", ".join(allowed)} alone', instead, *cases)


def copied(rule: str, source: str, into: Sequence[str], *cases: str, modes: tuple[str, ...] = EXPERT) -> Claim:
    """Tiles that a tensor is copied to."""
    def instead(p: Program) -> str:
        found = {s.args[1].buffer for s in instructions(p, 'copy') if s.args[0].buffer == source}
        return '' if found == set(into) else ', '.join(sorted(found)) or f'no copy of {source}'
    return of_program(rule, f'{source} is copied straight to {", ".join(into)}', instead, *cases, modes=modes)
