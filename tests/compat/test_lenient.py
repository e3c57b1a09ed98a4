"""What the compiler and the runtime let pass is taken as they take it, with a review finding; --strict refuses it."""

import pytest

KERNEL = '''
@tilelang.jit(pass_configs={{'tl.ascend_auto_sync': True}})
def make(N=64):
    @T.prim_func
    def main(A: T.Tensor(({shape},), 'float'), B: T.Tensor(({shape},), 'float')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            a = T.alloc_ub((N,), 'float')
            wide = T.alloc_ub((2 * N,), 'float')
            two = T.alloc_ub((2, N), 'float')
            with T.Scope('{scope}'):
                if vid == 0:
                    x = 1.0
                    T.tile.fill(wide, 2.0)
                    T.tile.fill(two, 3.0)
                    T.copy(A[0:N], a)
                    T.barrier_all()
                    {line}
                    T.barrier_all()
                    T.copy(a, B[0:N])
    return main

a, b = torch.arange(64.0, device='npu'), torch.zeros(64, device='npu')
make()(a, b)
torch.testing.assert_close(b, {want})
'''


def text(line='T.tile.add(a, a, x)', want='a + 1', scope='V', shape='N'):
    return KERNEL.format(line=line, want=want, scope=scope, shape=shape)


RULES = {
    'a second operand larger than the result': text('T.tile.add(a, a, wide)', 'a + 2'),
    'an element by its first index only': text('T.tile.add(a, a, two[1, 5])', 'a + 3'),
    'a name rebound in a loop keeps its outer value': text('for i in range(3):\n                        x = 5.0\n                    T.tile.add(a, a, x)'),
    'a loop does not carry an assignment': text('for i in range(3):\n                        T.tile.add(a, a, x)\n                        x = 7.0', 'a + 3'),
    'a copy flag without effect': text('T.copy(wide[0:N], a, pad_value=1.0)', 'torch.full_like(a, 2.0)'),
}


@pytest.mark.parametrize('rule', RULES)
def test_taken_with_a_review_finding_and_refused_when_strict(rule, script):
    record, _ = script(RULES[rule])
    assert record.status == 0, record.failure or str(record.refusal)
    assert 'review' in {f.severity for f in record.findings} and record.exit_status(strict=False) == 0
    assert all(f.word == 'meaning' and f.sides[0].span.file.endswith('script.py') for f in record.findings)
    assert record.exit_status(strict=True) == 1
    strict, _ = script(RULES[rule], strict=True)
    assert strict.status == 1 and strict.refusal is not None


CALLS = {
    'tensors smaller than declared': text(shape='4 * N'),
    'tensors larger than declared': text() + 'make()(torch.ones(100).npu(), torch.zeros(100).npu())\n',
    'another rank': text() + 'make()(a.view(8, 8), b.view(2, 32))\n',
    'surplus arguments': text() + 'make()(a, b, 3, "x")\n',
    'one tensor for two parameters': text() + 'c = a.clone()\nmake()(c, c)\ntorch.testing.assert_close(c, a + 1)\n',
}


@pytest.mark.parametrize('call', CALLS)
def test_calls_as_the_runtime_takes_them(call, script):
    record, _ = script(CALLS[call])
    assert record.exit_status(strict=True) == 0, record.failure or str(record.refusal) or record.findings
    strict, _ = script(CALLS[call], strict=True)
    assert (strict.refusal is None) == (call == 'one tensor for two parameters')


def test_postponed_annotations_see_the_names_around_the_kernel(script):
    record, _ = script(text(), first='from __future__ import annotations\n')
    assert record.status == 0, record.failure or str(record.refusal)
