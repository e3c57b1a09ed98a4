"""Instructions of the normal form: the argument order of the backend operations (dialect 12.7)."""

from __future__ import annotations

from typing import Any

from ..dtypes import dtype as dtype_of
from ..ir import expr as E
from ..ir.nodes import Instr, Program, Region
from ..ir.ops import OPS, route
from .gm_tile import gm_tile
from .ranges import Known
from .normal_text import expression, offset, run, start, whole

# Op -> name inside its template string `Name<type>`.
TEMPLATES = {'fill': 'Fill', 'clamp': 'Clamp', 'clamp_max': 'ClampMax', 'clamp_min': 'ClampMin', 'arith_progression': 'ArithProgression',
             'createvecindex': 'CreateVecIndex', 'gatherb': 'Gatherb', 'gather_mask': 'GatherMask', 'sort': 'Sort', 'topk': 'TopK',
             'merge_sort': 'MergeSort',
             'row_expand_mul': 'RowExpandMul', 'row_expand_mul_experiment': 'RowExpandMul', 'row_expand_sub_experiment': 'RowExpandSub',
             'row_expand_div_experiment': 'RowExpandDiv', 'brcb_experiment': 'brcb'}
# Signatures of operations that end in their element count, and the exceptions.
COUNTED = ('wr', 'wrr', 'wre', 'mre', 'mrr', 'wrx', 'we', 'wrrs', 'wres', 'wx')
UNCOUNTED = {'pow', 'bitwise_xor', 'transpose', 'broadcast', 'gatherb', 'gather_mask', 'sort32', 'merge_sort', 'init_sort_buf',
             'abs_experiment', 'reduce_sum_experiment'}


def c_type(name: str) -> str:
    """The element type in the templates of copies and matrix operations."""
    return 'int' if name == 'int32' else dtype_of(name).ascendc


def instruction(program: Program, s: Instr, known: Known) -> str:
    user = ' {user=1}' if s.origin == 'user' else ''
    match s.op:
        case 'set_flag' | 'wait_flag':
            return f'{s.op} {s.args[0]} {s.args[1]} {_compact(program, s.args[2])}{user}'
        case 'pipe_barrier':
            return f'barrier_all{user}' if s.args[0] == 'ALL' else f'pipe_barrier {s.args[0]}{user}'
        case 'set_cross_flag':
            return f'set_cross_flag mode {s.attrs.get("mode", 2)} pipe {s.args[0]} id {_compact(program, s.args[1])}{user}'
        case 'wait_cross_flag':
            return f'wait_cross_flag {_compact(program, s.args[0])}' + (f' {{pipe={s.args[1]}}}' if s.args[1] else user)
        case 'sync_all':
            return 'sync_all'
        case 'copy':
            return copy(program, s, s.args[0], s.args[1], known)
        case 'atomic_add':
            return copy(program, s, s.args[1], s.args[0], known)
        case 'gemm_v0' | 'mma':
            return cube(program, s)
        case 'reduce':
            return reduce(program, s)
    if OPS[s.op].pipe == 'V':
        return vector(program, s)
    return f'op {s.op} ' + ', '.join(_argument(program, a) for a in s.args)


def _compact(program: Program, e: E.Expr) -> str:
    return expression(program, e).replace(' ', '')


def _argument(program: Program, a: Any, length: int | None = None) -> str:
    if isinstance(a, Region):
        return run(program, a, None if length is None else E.Const(length))
    return repr(a) if isinstance(a, str) else expression(program, a)


def _braces(**attrs: Any) -> str:
    return ' {' + ', '.join(f'{k}={v}' for k, v in attrs.items()) + '}'


# ---- copies ------------------------------------------------------------------------------------------------------------


def copy(program: Program, s: Instr, src: Region, dst: Region, known: Known) -> str:
    a, b = program.buffers[src.buffer], program.buffers[dst.buffer]
    head = f'{s.op} {start(program, src)} -> {start(program, dst)}'
    if 'SHARED' in (a.space, b.space) or 'FRAGMENT' in (a.space, b.space):
        return head
    name, _ = route(a.space, b.space, s.span)
    text = lambda e: expression(program, E.as_expr(e))  # noqa: E731
    if name == 'ub_to_ub':
        n = E.product(dst.extents)
        sides = {f'{side}_{k}': text(v) for side, r, buf in (('src', src, a), ('dst', dst, b))
                 for k, v in (('rows', r.extents[-2] if len(r.extents) > 1 else 1), ('cols', r.extents[-1]), ('pitch', buf.shape[-1]))}
        return head + _braces(route=name, to=c_type(b.dtype), **{'from': c_type(a.dtype)}, n=text(n), **sides)
    if name in ('l1_to_l0a', 'l1_to_l0b'):
        return head + _braces(route=name, dtype=c_type(a.dtype), l1=_matrix(program, a.shape),
                              transpose='true' if s.attrs.get('transpose') else 'false', tile=_matrix(program, b.shape))
    if name in ('ub_to_l1', 'l0c_to_ub'):
        return head + _braces(route=name)
    gm, chip = (src, dst) if a.space == 'GM' else (dst, src)
    tile = gm_tile(program.buffers[gm.buffer].shape, gm.starts, gm.extents, known)
    rows, cols, pitch = tile.valid_rows, tile.valid_cols, s.attrs.get('pitch', tile.pitch)
    # Copies of a workspace tile by the cube core carry 0 x 0: the whole tile, nothing to clip (dialect 8.9).
    if s.attrs.get('whole_tile'):
        if name in ('gm_to_l1', 'l0c_to_gm'):
            rows = cols = E.Const(0)
        else:
            rows, cols = chip.extents[-2] if len(chip.extents) > 1 else E.Const(1), chip.extents[-1]
    sizes = {'pitch': text(pitch), 'valid_rows': text(rows), 'valid_cols': text(cols)}
    on_chip = program.buffers[chip.buffer]
    if name == 'gm_to_l1':
        return head + _braces(route=name, dtype=c_type(a.dtype), tile=_matrix(program, b.shape), **sizes)
    if name == 'l0c_to_gm':
        shape = chip.extents if s.op == 'atomic_add' else a.shape
        relu = {} if s.op == 'atomic_add' else {'relu': int(bool(s.attrs.get('relu')))}
        return head + _braces(route=name, **{'from': c_type(a.dtype)}, to=c_type(b.dtype), tile=_matrix(program, shape), **relu, **sizes)
    extents = s.attrs.get('tile', chip.extents)
    tile_text = _matrix(program, (ub_rows(on_chip.shape, extents), extents[-1]))
    if name == 'gm_to_ub':
        pad = s.attrs.get('pad')
        return head + _braces(route=name, dtype=c_type(b.dtype), tile=tile_text, **sizes, pad=text(0 if pad is None else pad))
    return head + _braces(route=name, dtype=c_type(a.dtype), tile=tile_text, **sizes)


def ub_rows(shape: tuple[E.Expr, ...], extents: tuple[E.Expr, ...]) -> E.Expr:
    """Rows of the on-chip tile: the smaller of the declared rows and the region's; the declared ones when that is symbolic."""
    if len(shape) < 2:
        return E.Const(1)
    have, want = E.int_value(shape[-2]), E.int_value(extents[-2])
    return shape[-2] if want is None or have is None else E.Const(min(have, want))


def _matrix(program: Program, shape: tuple[E.Expr, ...]) -> str:
    rows = shape[-2] if len(shape) > 1 else E.Const(1)
    return f'{expression(program, rows)}x{expression(program, shape[-1])}'


# ---- cube and vector ---------------------------------------------------------------------------------------------------


def cube(program: Program, s: Instr) -> str:
    a, b, c, init = s.args
    kinds = {'in': c_type(program.buffers[a.buffer].dtype), 'acc': c_type(program.buffers[c.buffer].dtype)}
    sizes = {k: s.attrs[k] for k in 'MNK'}
    turned = {}
    if s.op == 'gemm_v0':
        turned = {f'trans{x}': 'true' if s.attrs.get(f'transpose_{x}') else 'false' for x in 'AB'}
    operands = ', '.join(run(program, r) for r in (a, b, c))
    return f'cube {s.op} {operands}' + _braces(**kinds, **sizes, **turned, init=expression(program, init))


def scratch(program: Program, s: Instr) -> list[str]:
    """The scratch operands an instruction was given (dialect 5.3.15)."""
    names = s.attrs.get('tmp', ())
    return [whole(program, n) for n in ((names,) if isinstance(names, str) else names)]


def reduce(program: Program, s: Instr) -> str:
    runs = s.attrs.get('runs', {})
    operands = [_argument(program, a, runs.get(i)) for i, a in enumerate(s.args)] + scratch(program, s)
    text = lambda k: expression(program, E.as_expr(s.attrs[k]))  # noqa: E731
    dtype = c_type(program.buffers[s.args[1].buffer].dtype)
    sizes = _braces(dtype=dtype, M=text('M'), N=text('N'), dim=s.attrs['dim'], clear=s.attrs['clear'])
    return f'vec reduce_{s.attrs["kind"]} ' + ', '.join(operands) + sizes


def count(s: Instr) -> E.Expr:
    """Elements an instruction works on; frozen in `count` where a pass changed the operands but not the count."""
    frozen = s.attrs.get('count')
    if frozen is not None:
        return E.as_expr(frozen)
    r = s.args[1] if s.op in ('compare', 'compare_scalar') else s.args[0]
    return E.product(r.extents)


def element_base(program: Program, a: Region) -> str:
    """The tile an element is taken from; of a multi-buffered one, the slot."""
    b = program.buffers[a.buffer]
    if b.versions == 1:
        return whole(program, a.buffer)
    rest = b.shape[1:]
    return run(program, Region(a.buffer, (a.starts[0], *(E.Const(0) for _ in rest)), (E.Const(1), *rest)))


def vector(program: Program, s: Instr) -> str:
    dst = program.buffers[s.args[0].buffer]
    tmpl = f"{{tmpl='{TEMPLATES[s.op]}<{dtype_of(dst.dtype).ascendc}>'}}" if s.op in TEMPLATES else ''
    runs = s.attrs.get('runs', {})
    args: list[str] = []
    for i, a in enumerate(s.args):
        if isinstance(a, Region) and a.form == 'element' and OPS[s.op].signature[i:i + 1] in ('e', 'a'):
            if 'pointer' in s.attrs:
                at = expression(program, offset(program, program.buffers[a.buffer], a.starts))
                args += [run(program, a, E.Const(s.attrs['pointer'])), at]
                continue
            # Only the first index of the element reaches the generator (dialect 5.3).
            args += [element_base(program, a), expression(program, s.attrs.get('element', a.starts[0]))]
        else:
            args.append(_argument(program, a, runs.get(i)))
    n = expression(program, count(s))
    tmp = scratch(program, s)
    match s.op:
        case 'broadcast':
            shapes = _broadcast_shapes(s)
            dims = [expression(program, d) for shape in shapes for d in shape]
            tmpl = f"{{tmpl='Broadcast<{dtype_of(dst.dtype).ascendc}, {len(shapes[0])}, {s.attrs['axis']}, false>'}}"
            args += [*tmp, str(len(shapes[0])), *dims]
        case 'clamp' | 'clamp_max' | 'clamp_min' | 'round':
            args[2:2] = tmp
        case 'sin' | 'cos' | 'sigmoid':
            args += [*tmp, n]
        case 'pow' | 'bitwise_xor':
            args += tmp
        case 'select':
            kind = '2' if isinstance(s.args[3], Region) else '1'
            types = [repr(dtype_of(program.buffers[r.buffer].dtype).ascendc) for r in (s.args[2], s.args[1])]
            args = [*args[:3], kind, *args[3:], n, *types]
        case _ if OPS[s.op].signature in COUNTED and s.op not in UNCOUNTED:
            args += [n]
        case _:
            args += tmp
    return f'vec {s.op} ' + ', '.join(args) + (f' {tmpl}' if tmpl else '')


def _broadcast_shapes(s: Instr) -> tuple[tuple[E.Expr, ...], tuple[E.Expr, ...]]:
    """Destination and source as the library sees them: the last two extents; a vector gains the dimension it is repeated along."""
    frozen = s.attrs.get('shapes')
    if frozen is not None:
        return frozen
    return broadcast_shapes(s)


def broadcast_shapes(s: Instr) -> tuple[tuple[E.Expr, ...], tuple[E.Expr, ...]]:
    dst, src = s.args[0].extents[-2:], s.args[1].extents[-2:]
    if len(dst) == 2 and len(src) == 1:
        src = (E.Const(1), src[0]) if s.attrs['axis'] == 0 else (src[0], E.Const(1))
    return dst, src
