"""Names a kernel may use: those of the fork's language module (dialect 3.1, 5, 6, 11.3, 11.4, 12.11)."""

from __future__ import annotations

import ast
import difflib
from typing import Iterator

from .finding import Lint
from .source import dotted, language_alias, parse

NAMES = frozenset('''
    And Buffer Cast Else If Kernel Not Or Parallel Persistent Pipelined Scope Select Tensor Then abs alloc_L0A alloc_L0B alloc_L0C alloc_L1
    alloc_fragment alloc_shared alloc_ub alloc_var annotate_address annotate_layout barrier_all bfloat16 cast ceil ceildiv clamp clear_flag copy cos
    dump_tensor exp float16 float32 floor floordiv floormod func_attr gemm_v0 grid if_then_else infinity init_flag int16 int32 int64 int8 log
    loop_break macro make_tensor max max_value min min_value mma pipe_barrier pow prim_func printf ptr reduce_max reduce_min reduce_sum
    reinterpret reinterpretcast reshape round rsqrt serial set_cross_flag set_deq_scale set_flag shmem_get_nbi shmem_put_nbi
    shmem_ub_get_nbi shmem_ub_put_nbi sigmoid sin sqrt symbolic sync_all tanh tile trunc truncdiv truncmod uint16 uint32 uint64 uint8 unroll
    use_swizzle vectorized view wait_cross_flag wait_flag
'''.split())
TILE = frozenset('''
    abs abs_experiment add arith_progression atomic_add axpy bilinear_interpolation bitwise_and bitwise_lshift bitwise_not bitwise_or
    bitwise_rshift bitwise_xor block_reduce_max block_reduce_min block_reduce_sum brcb_experiment broadcast cast clamp clamp_max clamp_min clear
    compare cos createvecindex datacachecleanandinvalid_experiment div exp fill fill_experiment gather gather_mask gatherb
    gathermask_experiment init_sort_buf leaky_relu ln max merge_sort min mins_experiment mul mul_add_dst pow reciprocal reduce_sum_experiment
    reduce_sum_mask_experiment relu round row_expand_div_experiment row_expand_mul row_expand_mul_experiment row_expand_sub_experiment rsqrt
    select sigmoid silu sin sort sort32 sqrt sub sub_experiment sum_experiment topk transpose wholereducemax wholereducemin wholereducesum
'''.split())
# What other tile languages call it.
INSTEAD = {
    'dynamic': 'T.symbolic', 'dyn': 'T.symbolic', 'alloc_local': 'T.alloc_var for a scalar, T.alloc_ub for a tile', 'gemm': 'T.gemm_v0',
    'alloc_global': 'a T.Tensor parameter listed in workspace_idx', 'fill': 'T.tile.fill', 'clear': 'T.tile.clear', 'atomic_add': 'T.tile.atomic_add',
    'print': 'T.printf', 'cumsum': 'a serial loop', 'Cube': 'T.Scope("C")', 'Vector': 'T.Scope("V")',
    'continue_loop': 'an if around the rest of the body',
    'any_of': 'T.tile.compare and T.reduce_max', 'all_of': 'T.tile.compare and T.reduce_min', 'device_assert': 'an assert in the factory',
    'reduce_abssum': 'T.tile.abs and T.reduce_sum', 'reduce_absmax': 'T.tile.abs and T.reduce_max', 'sync_threads': 'T.barrier_all',
    'gemm_v1': 'T.gemm_v0', 'rs': 'T.Scope', 'thread_binding': 'T.Kernel',
}


# The fork still exports these, but its code generators have no code for them (dialect 4.3, 5.7).
LEFTOVERS = frozenset(('gemm', 'atomic_add', 'atomic_addx2', 'atomic_addx4', 'dp4a', 'c2d_im2col', 'any_of', 'all_of', 'cumsum', 'reduce_abssum',
                       'reduce_absmax', 'print'))


def check(file: str) -> Iterator[Lint]:
    """Every use of the language module, inside kernels and around them."""
    tree = parse(file)
    alias = language_alias(tree)
    inner = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        parts = dotted(node).split('.')
        if parts[0] != alias or len(parts) < 2:
            continue
        known, name = (TILE, parts[2]) if parts[1] == 'tile' and len(parts) > 2 else (NAMES, parts[1])
        if name not in known:
            prefix = 'T.tile.' if known is TILE else 'T.'
            near = ', '.join(prefix + n for n in difflib.get_close_matches(name, known, 2))
            what = 'is left over from the GPU dialect there' if known is NAMES and name in LEFTOVERS else 'is not a name of the fork'
            yield Lint(file, node.lineno, 'F.names', f'{prefix}{name} {what}', 'the kernel file is the one the NPU compiles',
                       (INSTEAD.get(name, '') if known is NAMES else '') or near)
