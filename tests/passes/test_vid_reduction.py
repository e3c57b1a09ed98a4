"""threads=2: what the vid split halves, what it forgets, and what it refuses (dialect 8.4)."""

import pytest

from tiletwin.ir.verify import verify
from tiletwin.passes import simplify, vid_reduction
from tiletwin.passes.refuse import CompilerRejects

from .small import after, build, lines

PARAMS = 'A: T.Tensor((64, 64), "float32"), D: T.Tensor((2, 64, 64), "float32"), R: T.Tensor((64, 2, 64), "float32"), V: T.Tensor((64,), "float32")'
TILES = '''
a = T.alloc_ub((32, 64), "float32")
b = T.alloc_ub((32, 64), "float32")
c = T.alloc_ub((32, 64), "float32")
h = T.alloc_ub((32, 64), "float16")
m = T.alloc_ub((32, 8), "uint8")
v = T.alloc_ub((64,), "float32")
row = T.alloc_ub((1, 64), "float32")
odd = T.alloc_ub((35, 64), "float32")
l1 = T.alloc_L1((64, 64), "float32")
ix = T.alloc_ub((64,), "int32")
'''


def split(body: str, threads: int = 2, attrs: bool = False):
    program = after(build(TILES + body, PARAMS, threads), simplify, vid_reduction, simplify)
    verify(program, 'vid_reduction')
    return lines(program, attrs)


COUNTS = {
    'T.tile.add(a, b, c)': 'vec add UB a[0:+1024], UB b[0:+1024], UB c[0:+1024], 1024',
    'T.tile.exp(a, b)': 'vec exp UB a[0:+1024], UB b[0:+1024], 1024',
    'T.tile.mul(a, b, 2.0)': 'vec muls UB a[0:+1024], UB b[0:+1024], 2.0, 1024',
    'T.tile.axpy(a, b, 2.0)': 'vec axpy UB a[0:+1024], UB b[0:+1024], 2.0, 1024',
    'T.tile.fill(a, 0.0)': 'vec fill UB a[0:+1024], 0.0, 1024',
    'T.tile.fill(v, 0.0)': 'vec fill UB v[0:+32], 0.0, 32',
    'T.tile.compare(m, a, b, "GT")': "vec compare UB m[0:+128], UB a[0:+1024], UB b[0:+1024], 'GT', 1024",
    'T.reduce_sum(a, v[0:32], dim=-1)': 'vec reduce_sum UB v[0:+16], UB a[0:+1024]',
    # forgotten: they keep the count of the whole tile and reach past their half
    'T.tile.mul_add_dst(a, b, c)': 'vec mul_add_dst UB a[0:+1024], UB b[0:+1024], UB c[0:+1024], 2048',
    'T.tile.silu(a, b)': 'vec silu UB a[0:+1024], UB b[0:+1024], 2048',
    'T.tile.cast(h, a, "CAST_RINT", 2048)': "vec cast UB h[0:+1024], UB a[0:+1024], 'CAST_RINT', 2048",
    'T.tile.createvecindex(ix, 0)': 'vec createvecindex UB ix[0:+32], 0, 64',
    'T.tile.broadcast(a, row)': 'vec broadcast UB a[0:+1024], UB row[0:+32], 2, 32, 64, 1, 64',
    # a row that is not split is halved like any other tile
    'T.tile.fill(row, 0.0)': 'vec fill UB row[0:+32], 0.0, 32',
    # operands inside a tile stay
    'T.tile.exp(a[8, :], b[8, :])': 'vec exp UB a[512:+64], UB b[512:+64], 64',
    # 35 rows: half of the elements is more than the 17 rows left
    'T.tile.exp(odd, odd)': 'vec exp UB odd[0:+1120], UB odd[0:+1120], 1120',
}


@pytest.mark.parametrize('call', COUNTS)
def test_counts_and_operands(call):
    assert split(call) == [COUNTS[call]]


@pytest.mark.parametrize('call', COUNTS)
def test_one_thread_halves_nothing(call):
    program = build(TILES + call, PARAMS, 1)
    assert after(program, vid_reduction) is program


COPIES = {
    'T.copy(A[0, 0], a)': ('GM A[vid*16*64] -> UB a[0]', 'tile=16x64'),
    'T.copy(a, A[8, 0])': ('UB a[0] -> GM A[(8+vid*16)*64]', 'tile=16x64'),
    'T.copy(V[0:64], v)': ('GM V[vid*32] -> UB v[0]', 'tile=1x32'),
    'T.copy(D[1, 0, 0], a)': ('GM D[(64+vid*16)*64] -> UB a[0]', 'tile=16x64'),
    # one row: the tile keeps its shape, the tensor row still moves
    'T.copy(A[0, 0], row)': ('GM A[vid*64] -> UB row[0]', 'tile=1x64'),
    'T.copy(D[0, 0:32, :], b)': ('GM D[vid*16*64] -> UB b[0]', 'tile=16x64'),
    # rows in another dimension of the tensor: the offset lands on the heads, and the row extent stays
    'T.copy(R[0:32, 1, :], b)': ('GM R[(1+vid*16)*64] -> UB b[0]', 'valid_rows=32'),
    'T.tile.atomic_add(A[0:32, 0:64], a)': ('UB a[0] -> GM A[0]', 'tile=16x64'),
    'T.copy(a, b)': ('UB a[0] -> UB b[0]', 'n=1024'),
}


@pytest.mark.parametrize('call', COPIES)
def test_copies(call):
    (found,) = split(call, attrs=True)
    where, size = COPIES[call]
    assert where in found and size in found


def test_atomic_adds_keep_their_destination_and_get_no_offset():
    (found,) = split('T.tile.atomic_add(A[0:32, 0:64], a)', attrs=True)
    assert 'GM A[0] ' in found and 'valid_rows=32' in found


LOOPS = {
    'for i in T.serial(32):\n    T.tile.mul(a[i, :], a[i, :], 2.0)': 16,
    'for i in T.serial(32):\n    T.copy(A[i, :], a[i, :])': 16,
    'for i in T.serial(32):\n    v[0] = a[i, 0]': 16,
    'for i, j in T.Parallel(32, 64):\n    a[i, j] = b[i, j] * 2.0': 16,
    'for i in T.serial(32):\n    T.tile.mul(a, a, 2.0)': 32,
    'for i in T.serial(32):\n    T.tile.mul(a[i // 2, :], a[i // 2, :], 2.0)': 32,
    'for i in T.serial(4):\n    T.tile.fill(b[0:1, :], 1.0)': 4,
}


@pytest.mark.parametrize('loop', LOOPS)
def test_loops_over_the_rows_of_a_tile_are_halved(loop):
    assert split(loop)[0] == f'for i < {LOOPS[loop]}'


def test_tiles_of_an_indirect_gather_stay_whole():
    body = '''
    T.copy(V[0:64], v)
    for i in T.serial(32):
        T.copy(A[ix[i], 0:64], a[i, :])
    T.copy(a, A[0, 0])
    '''
    program = after(build(TILES + body.replace('\n    ', '\n'), PARAMS, 2), vid_reduction)
    assert program.buffers['a'].dims == (32, 64) and program.buffers['ix'].dims == (32,)
    assert program.attrs['buffers_skip_vid_reduction'] == ('a',)


def test_rows_of_a_whole_tile_are_shared_out_by_a_halved_loop():
    body = '''
    for i in T.serial(32):
        T.copy(A[ix[i], 0:64], a[i, :])
        T.copy(a[i, :], D[0, i, :])
    '''
    found = split(body.replace('\n    ', '\n'))
    assert found[0] == 'for i < 16' and any('GM D[(i+vid*16)*64]' in x for x in found)


def test_a_symbolic_row_count_is_rejected():
    with pytest.raises(CompilerRejects, match='Extent is not IntImm'):
        after(build(TILES + 'T.copy(A[0:n, 0:64], a[0:n, :])', 'A: T.Tensor((64, 64), "float32"), n: T.int32', 2), vid_reduction)


def test_a_tile_of_higher_rank_than_the_tensor_is_rejected():
    with pytest.raises(CompilerRejects, match='ub dims may not be more than gm dims'):
        after(build(TILES + 'T.copy(V[0:64], row[0, :])', PARAMS, 2), vid_reduction)
