"""A name means what its block says: shadowing loops work, and every read Python and the chip would answer differently is refused."""

import pytest

from tiletwin.errors import DialectError

FINE = {
    'an inner loop variable shadows the outer one only inside':
        ('for i in range(4):\n    I[i] = 0\n    for i in range(8):\n        I[i] = 1\n    I[i] = 2',
         ['for i in 0:+4:', '  store GM I[i] = 0', '  for i_1 in 0:+8:', '    store GM I[i_1] = 1', '  store GM I[i] = 2']),
    'a parallel nest shadows too':
        ('for i in range(4):\n    for i, j in T.Parallel(32, 64):\n        u[i, j] = 0.0\n    I[i] = 2',
         ['for i in 0:+4:', '  for i_1 in 0:+32 parallel:', '    for j in 0:+64 parallel:', '      store UB u[i_1, j] = 0.0', '  store GM I[i] = 2']),
    'a loop variable shadows a let':
        ('x = p + 1\nfor x in range(4):\n    I[x] = 0\nI[x] = 1', ['let x: int32 = p+1', 'for x_1 in 0:+4:', '  store GM I[x_1] = 0',
                                                                   'store GM I[x] = 1']),
    'the same name in two loops': ('for k in range(2):\n    x = k * 2\n    I[x] = 0\nfor k in range(2):\n    x = k * 3\n    I[x] = 1',
                                   ['for k in 0:+2:', '  let x: int32 = k*2', '  store GM I[x] = 0', 'for k_1 in 0:+2:', '  let x_1: int32 = k_1*3',
                                    '  store GM I[x_1] = 1']),
    'a name rebound and used inside one block':
        ('x = p\nif p > 1:\n    x = p * 2\n    I[x] = 0', ['if p > 1:', '  let x: int32 = p*2', '  store GM I[x] = 0']),
    'a variable changes across blocks': ('x = T.alloc_var("int32", init=1)\nfor k in range(4):\n    if k > p:\n        x = k\n    x += 1\nI[x] = 0',
                                         ['for k in 0:+4:', '  if k > p:', '    store VAR x = k', '  store VAR x = x[0]+1', 'store GM I[x[0]] = 0']),
    'rebinding in straight-line code': ('x = p\nx = x * 2\nI[x] = 0', ['let x: int32 = p*2', 'store GM I[x] = 0']),
    'python values change in unrolled python loops': ('x = 0\nfor b in [1, 2, 3]:\n    x += b\nI[0] = x', ['store GM I[0] = 6']),
    'python branches are not blocks': ('x = 0\nif 2 > 1:\n    x = 5\nI[0] = x', ['store GM I[0] = 5']),
}


@pytest.mark.parametrize('case', FINE)
def test_scoping(source, case):
    body, expected = FINE[case]
    assert source.statements(body, allocations="u = T.alloc_ub((32, 64), 'float32')") == expected


REFUSED = {
    'a Python constant rebound in an if': ('x = 0\nif cid > 2:\n    x = 1\nI[cid] = x', 'is read after that block', 'I[cid] = x'),
    'an expression rebound in an if': ('x = cid + 1\nif cid > 2:\n    x = cid * 2\nI[cid] = x', 'is read after that block', 'I[cid] = x'),
    'a constant rebound in one branch, read in the other': ('x = 0\nif cid > 2:\n    x = 1\nelse:\n    I[cid] = x', 'is read after that block',
                                                            'I[cid] = x'),
    'a constant rebound in a loop': ('x = 0\nfor k in range(4):\n    x = 1\nI[cid] = x', 'is read after that block', 'I[cid] = x'),
    'a counter in a loop': ('x = 0\nfor k in range(4):\n    I[k] = x\n    x = x + 1', 'is read and then rebound', 'x = x + 1'),
    'an augmented counter in a loop': ('x = 0\nfor k in range(4):\n    x += 1', 'is read and then rebound', 'x += 1'),
    'a counter behind an if': ('x = 0\nfor k in range(4):\n    I[k] = x\n    if k > p:\n        x = 1', 'is read and then rebound', 'x = 1'),
    'tiles swapped in a loop': ('a, b = u, w\nfor k in range(4):\n    T.copy(a, b)\n    a, b = b, a', 'is read and then rebound', 'a, b = b, a'),
    'a while condition that can never change': ('x = cid\nwhile x < 4:\n    x = p', 'is read and then rebound', 'x = p'),
    'a name of a block that ended': ('if cid > 2:\n    x = cid * 2\nI[0] = x', 'outside its defining region', 'I[0] = x'),
    'a loop variable after its loop': ('for k in range(4):\n    I[k] = 0\nI[0] = k', 'outside its defining region', 'I[0] = k'),
    'a name of the other scope': ('with T.Scope("C"):\n    x = cid * 2\nwith T.Scope("V"):\n    I[0] = x', 'outside its defining region', 'I[0] = x'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_ambiguous_reads_are_refused(source, case):
    body, text, line = REFUSED[case]
    with pytest.raises(DialectError, match=text) as caught:
        source.kernel(body, allocations="u = T.alloc_ub((32, 64), 'float32')\nw = T.alloc_ub((32, 64), 'float32')")
    assert caught.value.where.excerpt() == line
    assert 'alloc_var' in caught.value.instead or 'bind' in caught.value.instead


def test_a_tile_is_called_after_the_first_name_it_gets(source):
    program = source.kernel('b = a\nT.tile.clear(b)', allocations="a = T.alloc_ub((64,), 'float32')")
    assert [b.name for b in program.on_chip()] == ['a']


def test_scalar_parameters_keep_their_name_in_macros(source):
    before = '@T.macro\ndef store(dst, value):\n    twice = value * 2\n    dst[0] = twice\n'
    assert source.statements('store(I, p)\nstore(I, 4)', before=before, allocations='') == ['let twice: int32 = p*2', 'store GM I[0] = twice',
                                                                                            'store GM I[0] = 8']
