"""The operators inside torch: signatures, shapes without data, compilation, gradients, and who chooses mode and chip."""

import threading

import pytest
import torch

import tiletwin
from tiletwin import torch_ops
from tiletwin.errors import CallError, EnvironmentError_, UnsupportedError
from tiletwin.harness.registry import operator, operators
from tiletwin.torch_ops import REGISTERED, op_name, using

NAMES = sorted(operators())


@pytest.fixture(autouse=True)
def fresh_graphs():
    """Graphs of other tests count against the recompile limit of a shared code object."""
    torch._dynamo.reset()


def op(name):
    return getattr(torch.ops.tiletwin, op_name(name))


def quick(name):
    """Inputs and attributes of the smallest case, and a chip of the operator."""
    found = operator(name)
    case = next(c for c in found.cases if not c.slow)
    return found.variant.make_inputs(case), dict(case.attributes), (case.chips or found.chips)[0]


def outputs(made):
    return made if isinstance(made, (tuple, list)) else (made,)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('mode', ('expert', 'developer'))
def test_an_operator_of_torch_is_the_operator(name, mode):
    inputs, attributes, chip = quick(name)
    attributes = {k: v for k, v in attributes.items() if k not in operator(name).variant.form(mode).without}
    ours = outputs(op(name)(*inputs, mode=mode, arch=chip, **attributes))
    direct = outputs(operator(name)(*inputs, mode=mode, arch=chip, **attributes))
    assert len(ours) == len(direct)
    for a, b in zip(ours, direct):
        assert a.dtype == b.dtype and torch.equal(a.view(torch.uint8), b.view(torch.uint8))


@pytest.mark.parametrize('name', NAMES)
def test_shapes_and_dtypes_are_known_without_data(name):
    found = operator(name)
    for case in found.cases:
        tensors = [torch.empty([case.sizes[d] for d in o.dims], dtype=getattr(torch, t), device='meta')
                   for o, t in zip(found.variant.inputs, case.dtypes or tuple(o.dtypes[0] for o in found.variant.inputs))]
        made = outputs(op(name)(*tensors, **case.attributes))
        settings = found.variant.settings(case.attributes)
        if case.slow:
            continue
        inputs = found.variant.make_inputs(case)
        expected = found.variant.reference(*inputs, **settings)
        assert [tuple(x.shape) for x in made] == [tuple(x.shape) for x in expected]
    inputs, attributes, chip = quick(name)
    ran = outputs(op(name)(*inputs, arch=chip, **attributes))
    meta = outputs(op(name)(*(x.to('meta') for x in inputs), arch=chip, **attributes))
    assert [(x.shape, x.dtype, x.stride()) for x in ran] == [(x.shape, x.dtype, x.stride()) for x in meta]


@pytest.mark.parametrize('name', NAMES)
def test_opcheck(name):
    inputs, attributes, chip = quick(name)
    found = torch.library.opcheck(op(name), inputs, {**attributes, 'arch': chip})
    assert set(found.values()) == {'SUCCESS'}


@pytest.mark.parametrize('name', NAMES)
def test_compiles_into_one_graph(name):
    inputs, attributes, chip = quick(name)
    eager = outputs(op(name)(*inputs, arch=chip, **attributes))
    compiled = torch.compile(lambda *x: op(name)(*x, arch=chip, **attributes), fullgraph=True, backend='aot_eager')
    for a, b in zip(outputs(compiled(*inputs)), eager):
        assert torch.equal(a.view(torch.uint8), b.view(torch.uint8))


def test_a_compiled_graph_takes_other_sizes_and_reads_the_choice_when_it_runs():
    compiled = torch.compile(lambda a, b: op('matmul.mkkn_gemm')(a, b).relu(), fullgraph=True, dynamic=True, backend='aot_eager')
    for m, k, n in ((16, 32, 48), (33, 20, 7)):
        a, b = torch.randn(m, k).half(), torch.randn(k, n).half()
        with using(mode='developer', arch='a5'):
            assert torch.equal(compiled(a, b), op('matmul.mkkn_gemm')(a, b).relu())
        last = operator('matmul.mkkn_gemm').last
        assert (last.mode, last.launch.chip) == ('developer', 'a5')


def test_inputs_of_any_strides():
    x = torch.randn(9, 20).t()
    assert torch.equal(op('softmax')(x), op('softmax')(x.contiguous()))


@pytest.mark.parametrize('words, call, mode, chip', [
    ({}, {}, 'expert', 'a3'), ({'mode': 'developer'}, {}, 'developer', 'a3'), ({'arch': '910B'}, {}, 'expert', 'a2'),
    ({'mode': 'developer', 'arch': 'a5'}, {'mode': 'expert'}, 'expert', 'a5'), ({}, {'mode': 'developer', 'arch': 'a2'}, 'developer', 'a2'),
])
def test_mode_and_chip_by_context_and_by_call(words, call, mode, chip):
    with using(**words):
        op('softmax')(torch.zeros(2, 3), **call)
    last = operator('softmax').last
    assert (last.mode, last.launch.chip) == (mode, chip)


def test_choices_nest_and_end_with_their_block_and_stay_in_their_thread():
    seen = []
    with using(mode='developer'):
        with using(arch='a5') as inner:
            thread = threading.Thread(target=lambda: seen.append(torch_ops._choice.get()))
            thread.start()
            thread.join()
        assert (inner.mode, inner.arch) == ('developer', 'a5')
        assert torch_ops._choice.get() == torch_ops.Choice('developer')
    assert torch_ops._choice.get() == torch_ops.Choice() and seen == [torch_ops.Choice()]
    assert tiletwin.using is using


def test_an_operator_of_one_chip_runs_on_it_unless_told_otherwise():
    x = torch.randn(64, 64)
    op('matmul.mknk_f32')(x, x)
    assert operator('matmul.mknk_f32').last.launch.chip == 'a5'
    with pytest.raises(EnvironmentError_, match='not written for a3'):
        op('matmul.mknk_f32')(x, x, arch='a3')


@pytest.mark.parametrize('call, error, says', [
    (lambda: op('softmax')(torch.zeros(2, 3), mode='wild'), EnvironmentError_, 'wild'), (lambda: using(mode='wild').__enter__(), EnvironmentError_, 'wild'),
    (lambda: using(arch='h100').__enter__(), EnvironmentError_, 'h100'), (lambda: op('softmax')(torch.zeros(2, 3, dtype=torch.int32)), CallError, 'x is int32'),
    (lambda: op('softmax')(torch.zeros(3, device='meta')), CallError, 'x has 1 dimensions'), (lambda: op('softmax')(torch.zeros(2, 3), bias=1), RuntimeError, 'bias'),
    (lambda: op('matmul.mkkn_gemm')(torch.zeros(2, 3).half(), torch.zeros(4, 5).half()), CallError, 'K is 3 before and 4 in B'),
])
def test_wrong_calls(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_the_gradient_of_a_product_is_products():
    torch.manual_seed(1)
    a, b, g = torch.randn(20, 33).half(), torch.randn(33, 17).half(), torch.randn(20, 17).half()
    ours = [x.clone().requires_grad_() for x in (a, b)]
    right = [x.double().requires_grad_() for x in (a, b)]
    op('matmul.mkkn_gemm')(*ours).backward(g.float())
    (right[0] @ right[1]).backward(g.double())
    for x, y in zip(ours, right):
        torch.testing.assert_close(x.grad.double(), y.grad, rtol=1e-3, atol=1e-3)


def test_a_gradient_that_is_not_needed_is_not_computed():
    a, b = torch.randn(4, 4).half().requires_grad_(), torch.randn(4, 4).half()
    op('matmul.mkkn_gemm')(a, b).sum().backward()
    assert a.grad is not None and b.grad is None


def test_an_operator_without_a_backward_says_so():
    x = torch.randn(2, 3, requires_grad=True)
    with pytest.raises(UnsupportedError, match='softmax has no backward'):
        op('softmax')(x).sum().backward()


def test_every_operator_is_registered_under_its_name():
    assert set(REGISTERED) == set(NAMES) and len({op_name(n) for n in NAMES}) == len(NAMES)
