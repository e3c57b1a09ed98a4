"""Rules C4 of w4a8_gemm."""

import warnings

import pytest
import torch
from .kernel_checks import case_launch, instructions, run_program, scope

import tiletwin
from ops.contracts.w4a8_gemm import unpack
from ops.developer.w4a8_gemm import vid_eliminated
from pass_configs import DEVELOPER
from tiletwin import language as T
from tiletwin.errors import CallError, KernelWarning, TileTwinError
from tiletwin.harness.registry import operators
from tiletwin.ir import expr as E
from tiletwin.passes.substitute import substitute

NAMES = ('w4a8_gemm.workspace_vid', 'w4a8_gemm.vid_eliminated')
FORMS = [(name, mode) for name in NAMES for mode in ('expert', 'developer')]


def numbers_of(byte):
    """Low nibble first, two's complement, one at a time."""
    return [n - 16 if n >= 8 else n for n in (byte % 16, byte // 16)]


def test_C4_26_the_reference_decodes_every_byte():
    got = unpack(torch.arange(256, dtype=torch.uint8)[:, None])
    assert got.tolist() == [numbers_of(b) for b in range(256)]


@pytest.mark.parametrize('name, mode', FORMS)
def test_C4_26_every_byte_in_both_places(name, mode):
    """A is the unit matrix: the product shows the unpacked numbers."""
    packed = torch.arange(512).reshape(16, 32).to(torch.uint8)
    out = tiletwin.operator(name)(torch.eye(64, dtype=torch.int8), packed, mode=mode)
    want = torch.tensor([[n for b in row for n in numbers_of(b)] for row in packed.tolist()], dtype=torch.int32)
    assert torch.equal(out, want.T)


@pytest.mark.parametrize('name', NAMES)
def test_C4_21_C4_22_without_vid_half_of_the_rows_are_missing_and_half_are_done_twice(name):
    """Both vector cores then store the same bytes over each other, and the cube reads rows that nobody wrote."""
    op = operators()[name]
    case = next(c for c in op.cases if c.name == 'source')
    inputs = op.variant.make_inputs(case)
    program = case_launch(name, 'source', 'a3').program
    vid = program.launch.vid.name
    assert any(vid in E.free_vars(e) for s in instructions(program, 'copy') for r in s.args[:2] for e in r.starts)
    (right,), verdict = run_program(program, 'a3', inputs, 1)
    assert verdict.clean and torch.equal(right, op.variant.reference(*inputs)[0])
    (wrong,), verdict = run_program(program.with_body(substitute(program.body, {vid: E.const(0)})), 'a3', inputs, 1)
    assert {f.word for f in verdict.findings} == {'race', 'uninit'}
    assert not torch.equal(wrong, right)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('block', [0, 8, 24])
def test_C4_24_a_block_of_B_is_at_least_a_fractal(name, block):
    with pytest.raises(CallError, match=f'block_N is {block}'):
        tiletwin.operator(name)(torch.zeros(16, 64, dtype=torch.int8), torch.zeros(16, 32, dtype=torch.uint8), block_N=block)


@pytest.mark.parametrize('name, mode, says', [
    ('w4a8_gemm.workspace_vid', 'expert', {'c == 0', 'k == 0'}), ('w4a8_gemm.vid_eliminated', 'expert', {'c == 0', 'k == 0'}),
    ('w4a8_gemm.workspace_vid', 'developer', {'k == 0'}),
])
def test_C4_25_only_the_first_step_of_K_initialises(name, mode, says):
    """And the sums of several steps are right, which they are not when every step or none does."""
    op = operators()[name]
    ran = op.run_case(next(c for c in op.cases if c.name == 'source-256'), mode)
    (product,) = instructions(ran.launches[0].program, 'mma', 'gemm_v0')
    assert set(E.text(product.args[3]).replace('(', '').replace(')', '').split(' and ')) == says
    assert ran.ok


def rows_one_by_one(outer, inner, at, rows=8, width=64):
    """The vector cores go row by row, the cube step by step; `at` tells row and step from the loops of the vector cores."""
    k_num = 4

    @tiletwin.jit(out_idx=[1], workspace_idx=[2], pass_configs=DEVELOPER)
    def factory():
        @T.prim_func
        def main(
            A: T.Tensor((2 * rows, k_num * width), 'float16'),
            C: T.Tensor((16, 16), 'float'),
            workspace_1: T.Tensor((2 * rows, k_num * width), 'float16'),
        ):
            with T.Kernel(1, is_npu=True) as (cid, vid):
                u = T.alloc_shared((1, width), 'float16')
                a = T.alloc_shared((16, width), 'float16')
                c = T.alloc_fragment((16, 16), 'float')
                for i in T.serial(outer):
                    for j in T.serial(inner):
                        T.copy(A[vid * rows + (i if at == 'row, step' else j), (j if at == 'row, step' else i) * width], u)
                        T.tile.mul(u, u, 2.0)
                        T.copy(u, workspace_1[vid * rows + (i if at == 'row, step' else j), (j if at == 'row, step' else i) * width])
                for k in T.serial(k_num):
                    T.copy(workspace_1[0, k * width], a)
                    T.gemm_v0(a, a, c, transpose_B=True, init=(k == 0))
                T.copy(c, C)

        return main

    return factory


@pytest.mark.parametrize('outer, inner, at, says', [(8, 4, 'row, step', 'vec loop times (= 8 )'), (4, 8, 'step, row', None)])
def test_C4_27_the_warning_counts_both_loops_and_does_not_tell_right_from_wrong(outer, inner, at, says):
    """The count of the vector cores stops at the loop that leaves the cube behind; a loop further in is not reached. The flag is right both ways."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        kernel = rows_one_by_one(outer, inner, at)()
    texts = [str(w.message) for w in caught if issubclass(w.category, KernelWarning)]
    assert len(texts) == (says is not None)
    if says:
        assert f'Cube loop times (= 4 ) is not enough to catch up {says}' in texts[0]
    x = torch.randn(16, 256, generator=torch.Generator().manual_seed(0)).half()
    launches = []
    with tiletwin.observe(launches.append):
        out = kernel(x)
    launches[0].verdict.require_clean()
    torch.testing.assert_close(out, (2 * x).float() @ (2 * x).float().T, rtol=1e-5, atol=1e-3)
    assert len(instructions(kernel.program, 'set_cross_flag')) == len(instructions(kernel.program, 'wait_cross_flag')) == 1


@pytest.mark.parametrize('name, cover', [('w4a8_gemm.workspace_vid', 'slots>=trips'), ('w4a8_gemm.vid_eliminated', 'single_shot')])
def test_C4_43_what_covers_the_reuse_of_the_workspace_is_declared_and_true(name, cover):
    """No flag points back from the cube, so no place of the workspace may be written twice."""
    op = operators()[name]
    assert op.variant.war_cover == cover
    launch = op.run_case(next(c for c in op.cases if c.name == 'reuse'), 'developer').launches[0]
    assert {s.args[0] for s in instructions(scope_of(launch.program, 'C'), 'set_cross_flag')} == set()
    launch.verdict.require_clean()


def scope_of(program, core):
    return program.with_body((scope(program, core),))


def test_X13_blocks_of_M_that_share_rows_of_B_unpack_them_to_their_own_places():
    op = operators()['w4a8_gemm.workspace_vid']
    case = next(c for c in op.cases if c.name == 'source-128')
    for mode in op.modes:
        op.run_case(case, mode).launches[0].verdict.require_clean()


@pytest.mark.parametrize('K, block', [(6528, 16), (3456, 32), (1728, 64), (832, 128)])
def test_the_longest_rows_of_the_developer_form_are_those_its_tiles_hold(K, block):
    """One step of 64 numbers more is refused by the contract; without it, by the compiler."""
    op = operators()['w4a8_gemm.vid_eliminated']
    sizes = {'M': 16, 'N': block, 'K': K, 'K/2': K // 2}
    op.kernel(sizes, {'block_N': block, 'cores': None}, ('int8', 'uint8'), 'developer')
    sizes['K'], sizes['K/2'] = K + 64, K // 2 + 32
    with pytest.raises(CallError, match='for the developer form'):
        op.kernel(sizes, {'block_N': block, 'cores': None}, ('int8', 'uint8'), 'developer')
    with pytest.raises(TileTwinError, match='compiler'):
        vid_eliminated(16, block, K + 64, block)
