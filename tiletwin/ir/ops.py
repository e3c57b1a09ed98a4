"""The instruction inventory: every op a Program may hold, its pipe and how it touches each operand.

Signature letters, one per positional argument of `Instr.args`:
  w  region written          r  region read           m  region read and written
  x  scalar expression       e  scalar expression, or an 'element' region read by the scalar unit (dialect 5.3)
  s  string                  a  region read or scalar expression or string, per form
A trailing '*' repeats the last letter; '?' makes it optional.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import PathError, Span

PIPES = ('S', 'MTE1', 'MTE2', 'MTE3', 'M', 'V', 'FIX')
CUBE_PIPES = ('S', 'MTE1', 'MTE2', 'M', 'FIX')
VECTOR_PIPES = ('S', 'MTE2', 'V', 'MTE3')


@dataclass(frozen=True, slots=True)
class OpSpec:
    pipe: str  # a pipe, 'copy' (by route) or 'sync'
    signature: str


def _table(pipe: str, **rows: str) -> dict[str, OpSpec]:
    return {name: OpSpec(pipe, sig) for name, sig in rows.items()}


def _same(pipe: str, sig: str, names: str) -> dict[str, OpSpec]:
    return {name: OpSpec(pipe, sig) for name in names.split()}


OPS: dict[str, OpSpec] = {
    # data movement: copy(src, dst) {relu, transpose, pad}; atomic_add(dst, src)
    **_table('copy', copy='rw', atomic_add='mr'),
    # cube: (A, B, C, init) {M, N, K, transpose_A, transpose_B}
    **_table('M', gemm_v0='rrmx', mma='rrmx'),
    # vector, element-wise
    **_same('V', 'wrr', 'add sub mul div max min bitwise_and bitwise_or pow bitwise_xor'),
    **_same('V', 'wre', 'adds subs muls divs maxs mins'),
    **_same('V', 'wr', 'exp ln abs reciprocal sqrt rsqrt relu bitwise_not sin cos sigmoid silu transpose'),
    **_same('V', 'wrx', 'leaky_relu bitwise_lshift bitwise_rshift round abs_experiment reduce_sum_experiment'),
    **_table('V', axpy='mre', mul_add_dst='mrr'),
    # vector, with explicit count last: clamp_max(dst, src, s, count), clamp(dst, src, lo, hi, count), ...
    **_table('V', clamp_max='wrxx', clamp_min='wrxx', clamp='wrxxx', sub_experiment='wrrx', mins_experiment='wrxx'),
    # fill and index generation: fill(dst, value); arith_progression(dst, first, diff, count); createvecindex(dst, first)
    **_table('V', fill='we', arith_progression='wxxx', createvecindex='wx', init_sort_buf='wxx', fill_experiment='wxxxxx'),
    # compare(mask, src0, src1, mode), compare_scalar(mask, src0, scalar, mode), select(dst, mask, src0, src1|scalar, mode)
    **_table('V', compare='wrrs', compare_scalar='wres', select='wrras'),
    # cast(dst, src, mode, count); broadcast(dst, src) {axis}; reduce(dst, src) {kind, dim, clear, M, N, real_shape, cols}
    # (M x N reduced; `cols` is the physical row length, which pto keeps as pitch while ascendc reads M x N densely)
    **_table('V', cast='wrsx', broadcast='wr', reduce='wr'),
    **_same('V', 'wrrw?', 'row_expand_mul row_expand_mul_experiment row_expand_sub_experiment row_expand_div_experiment'),
    # brcb_experiment(dst, src, repeat, dst_blk_stride, dst_repeat_stride)
    **_table('V', brcb_experiment='wrxxx'),
    # gather(dst, src, byte_offsets, base); gatherb(dst, src, offsets, repeat, blk, rep); gather_mask(dst, src, pattern|indices)
    **_table('V', gather='wrrx', gatherb='wrrxxx', gather_mask='wra', gathermask_experiment='wrrsxxxxxx'),
    # sort32(dst, values, payload); sort(dst, src, actual); topk(dst, src, K, actual); merge_sort(dst, list, list, ...)
    **_table('V', sort32='wrr', sort='wmx', topk='wmxx', merge_sort='wrr*'),
    # raw repeat forms: (dst, src, mask, repeat, dst_rep, src_blk, src_rep[, order]); block: (dst, src, repeat, mask, dst_rep, src_blk, src_rep)
    **_table('V', wholereducemax='wrxxxxxs', wholereducemin='wrxxxxxs', wholereducesum='wrxxxxx'),
    **_same('V', 'wrxxxxx', 'block_reduce_max block_reduce_min block_reduce_sum'),
    # bilinear_interpolation(dst, src0, offsets, src1, mask, h_repeat, repeat_mode, dst_blk, v_r_offset, v_repeat)
    **_table('V', bilinear_interpolation='wrrrxxxxxx', reduce_sum_mask_experiment='wrxxx', sum_experiment='wrxxx'),
    # scalar unit: set_deq_scale(s); printf(format, ...); dump_tensor(region, desc, size); dcci(gm, line, dst)
    **_table('S', set_deq_scale='x', printf='sa*', dump_tensor='rxx', datacachecleanandinvalid_experiment='rss'),
    # synchronisation: set_flag(SRC, DST, id); pipe_barrier(PIPE|'ALL'); set_cross_flag(PIPE, id) {mode}; wait_cross_flag(id, PIPE|'')
    **_table('sync', set_flag='ssx', wait_flag='ssx', pipe_barrier='s', sync_all='', set_cross_flag='sx', wait_cross_flag='xs'),
}

# (source memory, destination memory) -> (route name, pipe). The virtual routes exist only until workspace reduction.
ROUTES = {
    ('GM', 'L1'): ('gm_to_l1', 'MTE2'), ('GM', 'UB'): ('gm_to_ub', 'MTE2'), ('L1', 'L0A'): ('l1_to_l0a', 'MTE1'),
    ('L1', 'L0B'): ('l1_to_l0b', 'MTE1'), ('L0C', 'GM'): ('l0c_to_gm', 'FIX'), ('UB', 'GM'): ('ub_to_gm', 'MTE3'),
    ('UB', 'UB'): ('ub_to_ub', 'V'), ('UB', 'L1'): ('ub_to_l1', 'MTE3'), ('L0C', 'UB'): ('l0c_to_ub', 'FIX'),
}
VIRTUAL_ROUTES = ('ub_to_l1', 'l0c_to_ub')


def route(src_space: str, dst_space: str, where: Span | None = None) -> tuple[str, str]:
    """Route name and pipe of a copy; refuses paths no chip has."""
    found = ROUTES.get((src_space, dst_space))
    if found is None:
        raise PathError(f'no data path {src_space} -> {dst_space}', where=where,
                        why='the copy engines connect ' + ', '.join(f'{s}->{d}' for s, d in ROUTES),
                        instead='stage the tile through a memory both sides reach (GM for cube <-> vector)')
    return found


def letters(spec: OpSpec, count: int) -> str:
    """The signature spelled out for `count` arguments."""
    sig = spec.signature
    if sig.endswith('*'):
        head = sig[:-1]
        return head + head[-1] * (count - len(head))
    if sig.endswith('?'):
        head = sig[:-2]
        return head + sig[-2] * (count - len(head))
    return sig
