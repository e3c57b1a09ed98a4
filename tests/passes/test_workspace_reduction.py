"""Copies between the cores: where the store and the load go, and what the name-keyed maps of the compiler do (dialect 8.9)."""

import pytest

from tiletwin.errors import TileTwinError
from tiletwin.passes import simplify, vid_reduction, workspace_reduction

from .small import after, build, context, lines

PARAMS = 'A: T.Tensor((64, 64), "float16"), C: T.Tensor((64, 64), "float32"), K: T.Tensor((256, 64), "float16"), I: T.Tensor((64,), "int32")'
TILES = '''
s = T.alloc_L0C((64, 64), "float32")
o = T.alloc_L0C((64, 64), "float32")
u = T.alloc_ub((64, 64), "float32")
w = T.alloc_ub((64, 64), "float32")
h = T.alloc_ub((64, 64), "float16")
g = T.alloc_ub((16, 64), "float16")
p = T.alloc_L1((64, 64), "float16")
q = T.alloc_L1((64, 64), "float16")
ix = T.alloc_ub((16,), "int32")
'''
L0C_STORE = 'copy L0C s[0] -> GM workspace_1[cid*64*64]'


def reduced(body, threads=2, profile='fork', attrs=False, params=PARAMS):
    ctx = context(profile=profile, configs={'tl.ascend_auto_cv_combine'})
    return after(build(TILES + body, params, threads, blocks=2), vid_reduction, workspace_reduction, simplify, ctx=ctx), ctx


def text(body, **options):
    return lines(reduced(body, **options)[0], options.get('attrs', False))


def test_a_store_takes_the_place_of_the_copy_and_the_load_stands_before_the_first_reader():
    assert text('T.copy(s, u)\nT.tile.fill(w, 0.0)\nT.tile.add(w, w, u)') == [
        L0C_STORE, 'vec fill UB w[0:+2048], 0.0, 2048', 'copy GM workspace_1[(cid*64+vid*32)*64] -> UB u[0]',
                                                                              'vec add UB w[0:+2048], UB w[0:+2048], UB u[0:+2048], 2048']


FORMS = {  # kernel form: store into the workspace of a UB tile, rows of the workspace
    2: ('copy UB h[0] -> GM workspace_1[(cid*64+vid*32)*64]', 64),
    1: ('copy UB h[0] -> GM workspace_1[cid*64*64]', 64),
    None: ('copy UB h[0] -> GM workspace_1[cid*64*64]', 64),
}


@pytest.mark.parametrize('threads', FORMS)
def test_only_threads2_kernels_give_each_vector_core_its_rows(threads):
    program, _ = reduced('T.copy(h, p)\nT.gemm_v0(p, q, o, init=True)', threads=threads)
    store, rows = FORMS[threads]
    assert lines(program)[:2] == [store, 'copy GM workspace_1[cid*64*64] -> L1 p[0]']
    assert [d.value for d in program.buffers['workspace_1'].shape] == [2, rows, 64]


def test_the_workspace_has_the_type_of_the_destination():
    program, _ = reduced('T.copy(s, h)\nT.tile.exp(h, h)')
    assert program.buffers['workspace_1'].dtype == 'float16'
    assert program.params[-1] == 'workspace_1' and program.attrs['auto_gm'] == ('workspace_1',)


READERS = {  # statement: does the load stand in front of it?
    'T.tile.exp(w, u)': True, 'T.copy(u, C)': True, 'T.copy(u, w)': True, 'T.tile.mul_add_dst(u, w, w)': True,
    'T.reduce_sum(u, w[0, 0:64], dim=-1)': True,
    # written only, or read by the scalar unit
    'T.tile.fill(u, 0.0)': False, 'T.tile.axpy(u, w, 2.0)': False, 'w[0, 0] = u[1, 1]': False, 'u[0, 0] = 1.0': False,
}


@pytest.mark.parametrize('reader', READERS)
def test_what_counts_as_the_first_reader(reader):
    found = text('T.copy(s, u)\n' + reader + '\nT.tile.abs(u, u)', threads=1)
    assert found.index('copy GM workspace_1[cid*64*64] -> UB u[0]') == (1 if READERS[reader] else 2)


def test_a_virtual_copy_reads_nothing():
    found = text('T.copy(s, h)\nT.copy(h, p)\nT.gemm_v0(p, q, o, init=True)')
    assert found[:3] == [L0C_STORE, 'copy UB h[0] -> GM workspace_2[(cid*64+vid*32)*64]', 'copy GM workspace_2[cid*64*64] -> L1 p[0]']
    assert not any('-> UB h' in line for line in found)


def test_a_second_copy_to_the_same_tile_replaces_the_first():
    found = text('T.copy(s, u)\nT.tile.exp(w, u)\nT.copy(o, u)\nT.tile.exp(w, u)')
    assert [x for x in found if 'workspace' in x] == [L0C_STORE, 'copy GM workspace_2[(cid*64+vid*32)*64] -> UB u[0]',
                                                      'copy L0C o[0] -> GM workspace_2[cid*64*64]']


def test_a_second_copy_from_the_same_tile_takes_over_the_store_of_the_first():
    found = text('T.copy(s, u)\nT.copy(s, w)\nT.tile.add(u, u, w)')
    assert [x for x in found
            if 'workspace' in x] == ['copy L0C s[0] -> GM workspace_2[cid*64*64]'] * 2 + [f'copy GM workspace_{n}[(cid*64+vid*32)*64] -> UB {t}[0]'
                                                                                          for n, t in ((1, 'u'), (2, 'w'))]


DEEPER = {'for k in T.serial(4):': 'loop', 'if I[0] > 0:': 'branch'}


@pytest.mark.parametrize('head', DEEPER)
def test_a_first_reader_deeper_in_takes_the_load_along_and_a_warning_names_the_place(head):
    program, ctx = reduced(f'T.copy(s, u)\n{head}\n    T.tile.add(u, u, u)\nT.copy(u, C)')
    assert lines(program)[2] == '  copy GM workspace_1[(cid*64+vid*32)*64] -> UB u[0]'
    assert [DEEPER[head] in w.message and 'workspace_1' in w.message for w in ctx.warnings] == [True]


def test_a_tile_gathered_row_by_row_is_stored_where_the_copy_says_and_loaded_whole():
    body = '''
T.copy(I[0:16], ix)
for i in T.serial(16):
    T.copy(K[ix[i], 0], g[i, :])
T.copy(g, p[32, 0])
T.gemm_v0(p, q, o, init=True)'''
    found = [x.strip() for x in text(body) if 'workspace' in x]
    # The compiler adds the rows of the second vector core all the same: both store 16 rows, the second past the block.
    assert found == ['copy UB g[0] -> GM workspace_1[(cid*64+(32+vid*32))*64]', 'copy GM workspace_1[cid*64*64] -> L1 p[0]']


def test_sound_loads_where_the_copy_stands_and_gives_every_copy_its_workspace():
    found = text('T.copy(s, u)\nT.tile.exp(w, u)\nT.copy(o, u)\nfor k in T.serial(4):\n    T.tile.add(u, u, u)', profile='sound')
    assert found == [L0C_STORE, 'copy GM workspace_1[(cid*64+vid*32)*64] -> UB u[0]', 'vec exp UB w[0:+2048], UB u[0:+2048], 2048',
                     'copy L0C o[0] -> GM workspace_2[cid*64*64]',
                     'copy GM workspace_2[(cid*64+vid*32)*64] -> UB u[0]', 'for k < 4', '  vec add UB u[0:+2048], UB u[0:+2048], UB u[0:+2048], 2048']


def test_the_cube_moves_whole_tiles_and_the_vector_cores_their_rows():
    found = text('T.copy(s, u)\nT.tile.exp(u, u)', attrs=True)
    assert 'valid_rows=0, valid_cols=0' in found[0] and 'tile=32x64, pitch=64, valid_rows=32, valid_cols=64, pad=0' in found[1]


def test_a_parameter_with_the_name_of_an_automatic_workspace_is_refused():
    with pytest.raises(TileTwinError, match='workspace_1 has the name of an automatic workspace'):
        reduced('T.copy(s, u)', params=PARAMS + ', workspace_1: T.Tensor((1, 64, 64), "float32")')
