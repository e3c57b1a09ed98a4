"""The call convention of compiled kernels (dialect 1): what the caller passes, what is made for the call, what comes back, and
which arguments are refused before anything runs."""

import pytest
import torch

import tiletwin
from tiletwin import errors
from tiletwin.jit import JITKernel, PassConfigKey, TensorSupplyType, compile, determine_platform, jit, observe

TEXT = '''import tiletwin.language as T


def add(n=64, dtype='float32'):
    @T.prim_func
    def main(A: T.Tensor((32, n), dtype), B: T.Tensor((32, n), dtype), W: T.Tensor((4, n), dtype), C: T.Tensor((32, n), dtype),
             D: T.Tensor((32, n), dtype), s: T.float32):
        with T.Kernel(4, is_npu=True) as (cid, vid):
            a = T.alloc_ub((4, n), dtype)
            b = T.alloc_ub((4, n), dtype)
            with T.Scope('V'):
                T.copy(A[cid * 8 + vid * 4, 0], a)
                T.copy(B[cid * 8 + vid * 4, 0], b)
                T.set_flag('mte2', 'v', 0)
                T.wait_flag('mte2', 'v', 0)
                T.tile.add(b, a, b)
                T.pipe_barrier('v')
                T.tile.mul(a, a, s)
                T.set_flag('v', 'mte3', 0)
                T.wait_flag('v', 'mte3', 0)
                T.copy(b, C[cid * 8 + vid * 4, 0])
                T.copy(a, D[cid * 8 + vid * 4, 0])

    return main


def double(shape):
    m, n, k = T.symbolic('m'), T.symbolic('n'), T.symbolic('k')
    table = {'plain': ((m,), (m,)), 'double': ((m * 2,), (m,)), 'both': ((m,), (m * 2,)), 'affine': ((m * 2 + 8,), (m,)),
             'unknown': ((32,), (k,)), 'square': ((m * m,), (m,))}
    source, target = table[shape]

    @T.prim_func
    def main(X: T.Tensor(source, 'float32'), Y: T.Tensor(target, 'float32')):
        with T.Kernel(1, threads=1, is_npu=True) as cid:
            u = T.alloc_ub((64,), 'float32')
            with T.Scope('V'):
                T.copy(X[0], u[0:64])
                T.barrier_all()
                T.tile.mul(u, u, 2.0)
                T.barrier_all()
                T.copy(u[0:64], Y[0])

    return main
'''


@pytest.fixture
def factories(source):
    return source.module(TEXT, 'factories')


@pytest.fixture
def tensors():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn((32, 64), generator=generator) for _ in range(2)]


def test_outputs_and_workspaces_are_made_inputs_are_passed_in_order(factories, tensors):
    kernel = compile(factories.add(), out_idx=[3, -2], workspace_idx=2)
    a, b = tensors
    c, d = kernel(a, b, 3.0)
    assert torch.equal(c, a + b) and torch.equal(d, a * 3.0)
    assert (kernel.out_idx, kernel.workspace_idx) == ([3, 4], [2])
    assert [p.name for p in kernel.params] == ['A', 'B', 'W', 'C', 'D', 's'] and kernel.params[0].shape == (32, 64) and kernel.params[5].shape is None


@pytest.mark.parametrize('out_idx, results', [(None, 0), (3, 1), (-3, 1), ([3], 1), ([4, 3], 2)], ids=str)
def test_one_output_is_a_tensor_others_are_a_list(factories, tensors, out_idx, results):
    kernel = compile(factories.add(), out_idx=out_idx)
    made = len(kernel.out_idx)
    a, b = tensors
    passed = {0: a, 1: b, 2: torch.zeros(4, 64), 3: torch.zeros(32, 64), 4: torch.zeros(32, 64), 5: 2.0}
    got = kernel(*(v for i, v in passed.items() if i not in kernel.out_idx))
    if results == 1:
        assert torch.equal(got, a + b)
    elif results == 2:
        assert torch.equal(got[0], a * 2.0) and torch.equal(got[1], a + b)
    else:
        assert got == [] and torch.equal(passed[3], a + b)
    assert made == results


def test_launches_are_recorded_and_observed(factories, tensors):
    kernel = compile(factories.add(), out_idx=[3, 4], workspace_idx=2)
    seen, outer = [], []
    assert kernel.last is None
    with observe(outer.append):
        with observe(seen.append):
            kernel(*tensors, 1.0)
        kernel(*tensors, 1.0)
    kernel(*tensors, 1.0)
    assert len(seen) == 1 and len(outer) == 2
    assert kernel.last is kernel.launch_record and kernel.last.verdict.clean and kernel.last.microseconds > 0


def call(kernel, *args):
    with pytest.raises(errors.CallError) as caught:
        kernel(*args)
    return str(caught.value)


def test_wrong_arguments_name_the_parameter_and_run_nothing(factories, tensors):
    kernel = compile(factories.add(), out_idx=[3, 4], workspace_idx=2)
    a, b = tensors
    table = [
        ((a,), 'missing argument `B`'), ((a, b), 'missing argument `s`'), ((a, b, 1.0, 2.0), '1 arguments too many'),
        ((a.half(), b, 1.0), 'Buffer dtype mismatch for parameter A: expected float32, got float16'),
        ((a, b[:, :32], 1.0), 'Input tensor at index 1 must be contiguous'),
        ((a, b[:, :32].contiguous(), 1.0), 'Buffer shape mismatch for parameter B: expected (32, 64), got (32, 32)'),
        ((a, torch.cat([b, b]), 1.0), 'Buffer shape mismatch for parameter B'),
        ((a, b.reshape(-1), 1.0), '2 dimensions expected'),
        ((a, b.to('meta'), 1.0), 'Buffer device mismatch'),
        ((a, b.numpy(), 1.0), 'parameter `B` is a tensor, got ndarray'), ((a, b, True), 'scalar of type float32'),
        ((a, b, 'x'), 'scalar of type float32'),
        ((a, None, 1.0), 'parameter `B` is a tensor'),
    ]
    for args, text in table:
        assert text in call(kernel, *args)
    assert kernel.last is None


def test_larger_tensors_are_accepted_only_when_asked_for(factories, tensors, monkeypatch):
    kernel = compile(factories.add(), out_idx=[3, 4], workspace_idx=2)
    a, b = tensors
    longer = torch.cat([b, b])
    call(kernel, a, longer, 1.0)
    monkeypatch.setenv('TILETWIN_STRICT_SHAPES', '0')
    assert torch.equal(kernel(a, longer, 1.0)[0], a + b)
    assert 'mismatch' in call(kernel, a, b[:16].contiguous(), 1.0)


@pytest.mark.parametrize('shape, given, made', [('plain', 64, 64), ('double', 128, 64), ('both', 64, 128), ('affine', 136, 64)], ids=str)
def test_symbolic_dims_follow_from_the_inputs(factories, shape, given, made):
    x = torch.randn(given, generator=torch.Generator().manual_seed(1))
    y = compile(factories.double(shape), out_idx=1)(x)
    assert y.shape == (made,) and torch.equal(y[:64], x[:64] * 2)


@pytest.mark.parametrize('shape, given, text', [('double', 129, 'cannot solve'), ('unknown', 32, 'Unfounded symbolic var: k'),
                                                ('square', 65, 'cannot solve')])
def test_dims_that_do_not_follow_are_refused(factories, shape, given, text):
    assert text in call(compile(factories.double(shape), out_idx=1), torch.zeros(given))


BAD_ARGUMENTS = {
    'out_idx beyond': ({'out_idx': 6}, 'out_idx=6'), 'out_idx before': ({'out_idx': -7}, 'out_idx=-7'), 'out_idx kind': ({'out_idx': 'C'},
                                                                                                                         "out_idx is 'C'"),
    'out_idx bool': ({'out_idx': True}, 'out_idx is True'), 'twice': ({'out_idx': [3, -3]}, 'twice'), 'both': ({'out_idx': 3, 'workspace_idx': [3]},
                                                                                                               'an output and a workspace'),
    'scalar output': ({'out_idx': 5}, 'is a scalar'), 'target': ({'target': 'cuda'}, 'Target cuda is not supported'), 'platform': ({'platform': 'A9'},
                                                                                                                                   'no known chip'),
    'config key': ({'pass_configs': {'tl.ascend_auto_snyc': True}}, 'Invalid config option'), 'config kind': ({'pass_configs': ['tl.Simplify']},
                                                                                                              'pass_configs is'),
}


@pytest.mark.parametrize('case', BAD_ARGUMENTS)
def test_bad_compile_arguments_are_refused(factories, case):
    arguments, text = BAD_ARGUMENTS[case]
    with pytest.raises(errors.TileTwinError) as caught:
        compile(factories.add(), **arguments)
    assert text in str(caught.value)


def test_config_keys_are_strings_or_members(factories):
    for key in (PassConfigKey.TL_ASCEND_AUTO_SYNC, 'tl.ascend_auto_sync', PassConfigKey.TIR_MERGE_STATIC_SMEM):
        kernel = compile(factories.add(), pass_configs={key: False})
        assert kernel.pass_configs == {PassConfigKey(key).value: False}


@pytest.mark.parametrize('environment, given, found', [({}, 'auto', 'A3'), ({'TL_PLATFORM': 'A2'}, 'auto', 'A2'), ({'TILETWIN_ARCH': 'a5'}, 'auto',
                                                                                                                   'A5'),
                                                       ({'TL_PLATFORM': 'A2', 'TILETWIN_ARCH': 'a5'}, 'auto', 'A2'), ({'TL_PLATFORM': 'A2'}, 'A3',
                                                                                                                      'A3')], ids=str)
def test_platform_order(monkeypatch, environment, given, found):
    for name in ('TL_PLATFORM', 'TILETWIN_ARCH'):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert determine_platform(given) == found


def test_an_unknown_platform_in_the_environment_names_the_variable(monkeypatch):
    monkeypatch.setenv('TL_PLATFORM', 'B1')
    with pytest.raises(errors.TileTwinError, match='TL_PLATFORM'):
        determine_platform()


def test_factories_are_memoised_per_arguments_and_platform(factories, monkeypatch):
    made = []

    @jit(out_idx=[3, 4], workspace_idx=2)
    def factory(n, dtype='float32', flag=None):
        made.append(n)
        return factories.add(n, dtype)

    one = factory(64)
    assert factory(64) is one and isinstance(one, JITKernel) and made == [64]
    assert factory(n=64) is not one
    assert factory(64, flag=1) is not factory(64, flag=True)
    monkeypatch.setenv('TL_PLATFORM', 'A2')
    assert factory(64).platform == 'A2'
    assert factory(64, __tune_params={'flag': 3}) is factory(64, flag=3)
    with pytest.raises(TypeError, match='not hashable'):
        factory([64])
    assert factory.__jit_impl__.out_idx == [3, 4]


def test_what_jit_decorates(factories):
    with pytest.raises(ValueError, match='jit on a prim_func'):
        jit(factories.add())
    with pytest.raises(TypeError, match='returned int'):
        jit(lambda: 3)()
    with pytest.raises(TypeError):
        compile(lambda: 3)
    bare = jit(factories.add)
    assert bare(64).out_idx == [] and bare.__name__ == 'add'
    assert tiletwin.jit is jit and tiletwin.compile is compile


def test_the_source_is_the_tile_program_and_says_so(factories, tmp_path):
    kernel = jit(factories.add, out_idx=[3, 4], debug_root_path=str(tmp_path / 'dump'))(64)
    first, rest = kernel.get_kernel_source().split('\n', 1)
    assert 'not AscendC' in first and rest.startswith('kernel main(A, B, W, C, D, s: float32)')
    assert (tmp_path / 'dump' / 'tilelang_jit_program_main.txt').read_text() == kernel.kernel_source
    with pytest.raises(errors.UnsupportedError):
        kernel.get_host_source()


def test_profiler_times_are_modelled_and_repeatable(factories):
    kernel = compile(factories.double('plain'), out_idx=1)
    with pytest.raises(errors.DialectError, match='static shape'):
        kernel.run_once()
    x = torch.ones(64)
    profiler = kernel.get_profiler(TensorSupplyType.Randn)
    assert profiler.do_bench(input_tensors=[x]) == profiler.do_bench(input_tensors=[x]) == kernel.last.microseconds / 1e3
    profiler.assert_allclose(lambda t: t * 2, input_tensors=[x])
    with pytest.raises(errors.CallError, match='100.00%'):
        profiler.assert_allclose(lambda t: t * 3, input_tensors=[x])
    with pytest.raises(ValueError):
        kernel.get_tuner_result()
    assert kernel.update_tuner_result(1.0, {'n': 3}).get_tuner_result() == (1.0, {'n': 3}, None)
