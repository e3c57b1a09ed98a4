"""Scratch: which instructions get it, of what size, per target (dialect 5.3.15)."""

import pytest

from tiletwin.ir.nodes import Instr, walk
from tiletwin.passes import inject_tmp

from .small import after, build, context, lines

TILES = '''
a = T.alloc_ub((32, 64), "float32")
b = T.alloc_ub((32, 64), "float32")
wide = T.alloc_ub((16, 128), "float32")
h = T.alloc_ub((16, 256), "float16")
v = T.alloc_ub((32,), "float32")
w = T.alloc_ub((64,), "float32")
m = T.alloc_ub((256,), "uint8")
o = T.alloc_ub((16,), "float32")
oh = T.alloc_ub((16,), "float16")
x16 = T.alloc_ub((32, 64), "int16")
s = T.alloc_ub((64,), "float32")
d = T.alloc_ub((128,), "float32")
ix = T.alloc_ub((32, 64), "uint32")
'''
BYTES = 32 * 64 * 4
# call: (bytes on ascendc, bytes on pto); 0 is no scratch at all
SIZES = {
    'T.tile.sin(a, b)': (2 * BYTES, 1),
    'T.tile.pow(a, b, b)': (2 * BYTES, 1),
    'T.tile.sigmoid(a, b)': (BYTES, 1),
    'T.tile.clamp(a, b, 0.0, 1.0, 2048)': (BYTES, 1),
    'T.tile.clamp_max(a[0:8, :], b[0:8, :], 1.0, 512)': (BYTES // 4, 1),
    'T.tile.round(a, b, 2048)': (BYTES, 1),
    'T.tile.round(o, o, 16)': (256, 1),
    'T.tile.broadcast(a, w)': (BYTES // 4, 1),
    'T.tile.bitwise_xor(x16, x16, x16)': (BYTES // 2, 1),
    'T.reduce_sum(a, v)': (BYTES, 32 * 32),
    'T.reduce_sum(wide, o)': (16 * 128 * 4, 16 * 64 * 4),
    'T.reduce_max(h, oh)': (16 * 256 * 2, 16 * 128 * 2),
    'T.reduce_max(a, w, dim=0)': (BYTES, BYTES // 2),
    'T.tile.select(a, m, b, b, "VSEL_TENSOR_TENSOR_MODE")': (0, 1),
    'T.tile.gather(a, b, ix, 0)': (0, 1),
    'T.tile.add(a, a, b)': (0, 0),
    'T.tile.exp(a, a)': (0, 0),
    'T.copy(a, b)': (0, 0),
}


@pytest.mark.parametrize('target', ['ascendc', 'pto'])
@pytest.mark.parametrize('call', SIZES)
def test_sizes(call, target):
    program = after(build(TILES + call), inject_tmp, ctx=context(target))
    want = SIZES[call][target == 'pto']
    assert ('tmp_ub' in program.buffers) == (want > 0)
    if want:
        assert program.buffers['tmp_ub'].bytes == want and program.buffers['tmp_ub'].origin == 'inject_tmp'
        assert next(s for s in walk(program.body) if isinstance(s, Instr)).attrs['tmp'] == 'tmp_ub'


def test_one_buffer_serves_all_with_the_largest_request():
    program = after(build(TILES + 'T.reduce_sum(wide, o)\nT.tile.sin(a, b)\nT.tile.round(o, o, 16)'), inject_tmp)
    assert [b for b in program.buffers if b.startswith('tmp')] == ['tmp_ub'] and program.buffers['tmp_ub'].bytes == 2 * BYTES


def test_the_operand_stands_where_the_backend_operation_has_it():
    found = lines(after(build(TILES + 'T.tile.clamp(a, b, 0.0, 1.0, 2048)\nT.tile.sin(a, b)\nT.reduce_sum(a, v)'), inject_tmp))
    assert found == ['vec clamp UB a[0:+2048], UB b[0:+2048], UB tmp_ub[0:+16384], 0.0, 1.0, 2048',
                     'vec sin UB a[0:+2048], UB b[0:+2048], UB tmp_ub[0:+16384], 2048',
                     'vec reduce_sum UB v[0:+32], UB a[0:+2048], UB tmp_ub[0:+16384]']


def test_sorting_gets_a_typed_buffer_of_its_own():
    program = after(build(TILES + 'T.tile.sort(d, s, 64)'), inject_tmp)
    assert program.buffers['tmp_ub'].bytes == 8 * 64 * 4
    assert (program.buffers['tmp_ub_1'].dtype, program.buffers['tmp_ub_1'].elements) == ('float32', 8 * 64)


def test_merging_reductions_need_a_second_scratch_on_pto_only():
    call = TILES + 'T.reduce_sum(a, v, clear=False)'
    assert 'tmp_ub_reduce_out' not in after(build(call), inject_tmp).buffers
    assert after(build(call), inject_tmp, ctx=context('pto')).buffers['tmp_ub_reduce_out'].bytes == 32 * 4
