"""T.Parallel nests: which vector instructions they become, and which fall back to scalar loops (dialect 5.6)."""

import pytest

from tiletwin.passes import parallel_to_vector, simplify
from tiletwin.passes.refuse import CompilerCrashes, CompilerRejects

from .small import after, build, lines

TILES = '''
a = T.alloc_ub((32, 64), "float32")
b = T.alloc_ub((32, 64), "float32")
c = T.alloc_ub((32, 64), "float32")
h = T.alloc_ub((32, 64), "float16")
v = T.alloc_ub((32,), "float32")
w = T.alloc_ub((64,), "float32")
n = T.alloc_ub((32, 64), "int32")
'''
WIDE = '[0:+2048]'


def lowered(nest: str, **more):
    return after(build(TILES + nest, **more), simplify, parallel_to_vector)


def one_line(value: str) -> list[str]:
    return lines(lowered(f'for i, j in T.Parallel(32, 64):\n    c[i, j] = {value}'))


ONE = {
    'a[i, j] + b[i, j]': 'vec add UB c{0}, UB a{0}, UB b{0}, 2048',
    'a[i, j] - b[i, j]': 'vec sub UB c{0}, UB a{0}, UB b{0}, 2048',
    'a[i, j] * b[i, j]': 'vec mul UB c{0}, UB a{0}, UB b{0}, 2048',
    'a[i, j] / b[i, j]': 'vec div UB c{0}, UB a{0}, UB b{0}, 2048',
    'T.min(a[i, j], b[i, j])': 'vec min UB c{0}, UB a{0}, UB b{0}, 2048',
    'T.max(a[i, j], b[i, j])': 'vec max UB c{0}, UB a{0}, UB b{0}, 2048',
    'a[i, j] * 3.0': 'vec muls UB c{0}, UB a{0}, 3.0, 2048',
    'a[i, j] + 3.0': 'vec adds UB c{0}, UB a{0}, 3.0, 2048',
    'a[i, j] - 3.0': 'vec subs UB c{0}, UB a{0}, 3.0, 2048',
    'a[i, j] / 8.0': 'vec muls UB c{0}, UB a{0}, 0.125, 2048',  # the simplifier turns the division around
    'T.max(a[i, j], 0.0)': 'vec relu UB c{0}, UB a{0}, 2048',
    'T.max(0.0, a[i, j])': 'vec relu UB c{0}, UB a{0}, 2048',
    'T.exp(a[i, j])': 'vec exp UB c{0}, UB a{0}, 2048',
    'T.log(a[i, j])': 'vec ln UB c{0}, UB a{0}, 2048',
    'T.sqrt(a[i, j])': 'vec sqrt UB c{0}, UB a{0}, 2048',
    'T.abs(a[i, j])': 'vec abs UB c{0}, UB a{0}, 2048',
    'a[i, j]': 'copy UB a[0] -> UB c[0]',
    'T.cast(h[i, j], "float32")': 'copy UB h[0] -> UB c[0]',
}


@pytest.mark.parametrize('value', ONE)
def test_one_operation_on_whole_tiles_is_one_instruction(value):
    assert one_line(value) == [ONE[value].format(WIDE)]


FALLBACK = ['2.0 * a[i, j]', '1.0 - a[i, j]', 'T.if_then_else(i < j, a[i, j], 0.0)', 'a[i, j] + T.cast(h[i, j], "float32")',
            'T.exp(a[i, j] + b[i, j])', 'T.sigmoid(a[i, j])',
            'a[i, j] + T.cast(i, "float32")', 'T.cast(n[i, j] // 2, "float32")']


@pytest.mark.parametrize('value', FALLBACK)
def test_what_has_no_vector_form_runs_element_by_element(value):
    found = one_line(value)
    assert found[:2] == ['for i < 32', '  for j < 64'] and len(found) == 3 and found[2].startswith('    store UB c[i*64+j] = ')


def test_sub_expressions_get_temporaries_in_order_of_appearance():
    found = one_line('T.exp(a[i, j]) * b[i, j] + (a[i, j] - b[i, j]) * 0.5')
    assert found == [f'vec exp UB c_tmp_0_data_tmp_2_data{WIDE}, UB a{WIDE}, 2048',
                     f'vec mul UB c_tmp_0_data{WIDE}, UB c_tmp_0_data_tmp_2_data{WIDE}, UB b{WIDE}, 2048',
                     f'vec sub UB c_tmp_1_data_tmp_3_data{WIDE}, UB a{WIDE}, UB b{WIDE}, 2048',
                     f'vec muls UB c_tmp_1_data{WIDE}, UB c_tmp_1_data_tmp_3_data{WIDE}, 0.5, 2048',
                     f'vec add UB c{WIDE}, UB c_tmp_0_data{WIDE}, UB c_tmp_1_data{WIDE}, 2048']


def test_temporaries_of_a_failed_nest_are_given_back():
    program = lowered('for i, j in T.Parallel(32, 64):\n    c[i, j] = (a[i, j] + b[i, j]) * T.exp(a[i, j] + 1.0)')
    assert not [n for n in program.buffers if 'tmp' in n]


@pytest.mark.parametrize('value,want', [
    ('a[i, j] * w[j]', 'vec mul UB c[outer_broadcast_idx*64:+64], UB a[outer_broadcast_idx*64:+64], UB w[0:+64], 64'),
    ('a[i, j] - v[i]', 'vec subs UB c[outer_broadcast_idx*64:+64], UB a[outer_broadcast_idx*64:+64], UB v[outer_broadcast_idx:+32], '
                       'outer_broadcast_idx, 64')])
def test_a_vector_next_to_a_tile_makes_a_loop_over_rows(value, want):
    assert one_line(value) == ['for outer_broadcast_idx < 32', '  ' + want]


def test_loops_over_rows_have_names_of_their_own():
    nest = 'for i, j in T.Parallel(32, 64):\n    c[i, j] = a[i, j] * w[j]\n'
    found = lines(lowered(nest + nest))
    assert [x for x in found if x.startswith('for')] == ['for outer_broadcast_idx < 32', 'for outer_broadcast_idx_1 < 32']


@pytest.mark.parametrize('value,op,axis', [('v[i] + 1.0', 'adds', '32, 1'), ('w[j] + 1.0', 'adds', '1, 64')])
def test_a_lone_vector_is_broadcast_first(value, op, axis):
    first, second = one_line(value)
    name = value[0]
    length = 32 if name == 'v' else 64
    assert first == (f'vec broadcast UB {name}_broadcast_0_data{WIDE}, UB {name}[0:+{length}], UB broadcast_workspace_1_data[0:+4096], '
                     f'2, 32, 64, {axis}')
    assert second == f'vec {op} UB c{WIDE}, UB {name}_broadcast_0_data{WIDE}, 1.0, 2048'


def test_a_broadcast_right_operand_is_taken_for_a_scalar():
    """The compiler's own mistake: only element 0 of the second broadcast is read."""
    assert one_line('v[i] + w[j]')[-1] == f'vec adds UB c{WIDE}, UB v_broadcast_0_data{WIDE}, UB w_broadcast_2_data[0:+32], 0, 2048'


def test_a_tensor_in_global_memory_is_written_through_a_temporary():
    found = lines(lowered('for i, j in T.Parallel(32, 64):\n    A[i, j] = a[i, j] * 2.0'))
    assert found == [f'vec muls UB A_tmp_0_data{WIDE}, UB a{WIDE}, 2.0, 2048', 'copy UB A_tmp_0_data[0] -> GM A[0]']


def test_offsets_move_the_operands():
    found = lines(lowered('for i, j in T.Parallel(16, 64):\n    c[i + 16, j] = a[i, j] + b[i + 8, j]'))
    assert found == ['vec add UB c[1024:+1024], UB a[0:+1024], UB b[512:+1024], 1024']


def test_a_plain_copy_ignores_where_the_store_points():
    found = lines(lowered('for i, j in T.Parallel(16, 64):\n    c[i + 16, j] = a[i, j]'), attrs=True)
    assert len(found) == 1 and found[0].startswith('copy UB a[0] -> UB c[0] ') and 'n=2048' in found[0]


def test_one_parallel_loop_in_a_serial_one_keeps_the_serial_loop():
    assert lines(lowered('for r in T.serial(32):\n    for j in T.Parallel(64):\n        c[r, j] = a[r, j] + w[j]')) == [
        'for r < 32', '  vec add UB c[r*64:+64], UB a[r*64:+64], UB w[0:+64], 64']


def test_several_stores_of_one_nest_are_all_or_nothing():
    both = lines(lowered('for i, j in T.Parallel(32, 64):\n    c[i, j] = a[i, j] + b[i, j]\n    b[i, j] = a[i, j] * 2.0'))
    assert both == [f'vec add UB c{WIDE}, UB a{WIDE}, UB b{WIDE}, 2048', f'vec muls UB b{WIDE}, UB a{WIDE}, 2.0, 2048']
    one_bad = lines(lowered('for i, j in T.Parallel(32, 64):\n    c[i, j] = a[i, j] + b[i, j]\n    b[i, j] = 2.0 * a[i, j]'))
    assert [x.split()[0] for x in one_bad] == ['for', 'for', 'store', 'store']


@pytest.mark.parametrize('value', ['T.min(a[i, j], 6.0)', 'T.max(a[i, j], 1.0)'])
def test_minimum_and_maximum_with_a_scalar_crash_the_compiler(value):
    with pytest.raises(CompilerCrashes, match='the compiler crashes'):
        one_line(value)


def test_three_parallel_dimensions_are_rejected():
    with pytest.raises(CompilerRejects, match='3D or higher'):
        lowered('for i, j, k in T.Parallel(2, 16, 64):\n    c[i * 16 + j, k] = a[i * 16 + j, k] * 2.0')


def test_a_symbolic_extent_falls_back():
    found = lines(lowered('for i in T.Parallel(m):\n    w[i] = w[i] * 2.0', params='A: T.Tensor((m, 64), "float32")', head='m = T.symbolic("m")'))
    assert found == ['for i < m', '  store UB w[i] = w[i]*2.0']
