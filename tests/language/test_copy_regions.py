"""Which elements a copy moves: the worked examples of the dialect page (12.9), and the inference rules (4.1.1) on random operands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiletwin.ir import expr as E

PARAMETERS = ("A: T.Tensor((100, 72), 'float32'), B: T.Tensor((2, 8, 128, 64), 'float32'), D: T.Tensor((2, 128, 4, 64), 'float32'), "
              "H: T.Tensor((100, 72), 'float16'), b: T.int32, h: T.int32, s0: T.int32")
ALLOCATIONS = """\
U = T.alloc_ub((32, 64), 'float32')
L1 = T.alloc_L1((32, 64), 'float16')
L0C = T.alloc_L0C((16, 16), 'float32')
V = T.alloc_ub((64,), 'float32')"""
# statement -> (source form, starts, extents), (destination form, starts, extents)
ROWS = {
    'T.copy(A[64, 0], U)': (('element', '64, 0', '32, 64'), ('buffer', '0, 0', '32, 64')),
    'T.copy(A[96, 0], U)': (('element', '96, 0', '32, 64'), ('buffer', '0, 0', '32, 64')),
    'T.copy(A[96, 64], U, pad_value=-T.infinity("float32"))': (('element', '96, 64', '32, 64'), ('buffer', '0, 0', '32, 64')),
    'T.copy(A[128, 0], U)': (('element', '128, 0', '32, 64'), ('buffer', '0, 0', '32, 64')),
    'T.copy(U, A[96, 64])': (('buffer', '0, 0', '32, 64'), ('element', '96, 64', '32, 64')),
    'T.copy(A[0:8, 0:64], U[0:8, :])': (('region', '0, 0', '8, 64'), ('region', '0, 0', '8, 64')),
    'T.copy(A[0:8, 0:32], U[0:8, 0:32])': (('region', '0, 0', '8, 32'), ('region', '0, 0', '8, 32')),
    'T.copy(A[5, 0], U[3, :])': (('element', '5, 0', '1, 64'), ('region', '3, 0', '1, 64')),
    'T.copy(D[b, s0:s0 + 32, h, 0:64], U)': (('region', 'b, s0, h, 0', '1, 32, 1, 64'), ('buffer', '0, 0', '32, 64')),
    'T.copy(B[b, h, 0, 0], U)': (('element', 'b, h, 0, 0', '1, 1, 32, 64'), ('buffer', '0, 0', '32, 64')),
    'T.copy(H[96, 0], L1)': (('element', '96, 0', '32, 64'), ('buffer', '0, 0', '32, 64')),
    'T.copy(L0C, A[96, 64])': (('buffer', '0, 0', '16, 16'), ('element', '96, 64', '16, 16')),
    # ranks differ: the shorter list is padded behind, start indices take the last entries
    'T.copy(A[5, 0:64], V)': (('region', '5, 0', '1, 64'), ('buffer', '0', '64')),
    'T.copy(A[s0, 0], V)': (('element', 's0, 0', '1, 64'), ('buffer', '0', '64')),
    'T.copy(U[3, :], V[0])': (('region', '3, 0', '1, 64'), ('element', '0', '64')),
    'T.copy(A[s0:s0 + h, 0:64], U[0, 0])': (('region', 's0, 0', 'h, 64'), ('element', '0, 0', 'max(h, 1), 64')),
}


@pytest.mark.parametrize('statement', ROWS)
def test_worked_examples(source, statement):
    program = source.kernel(statement, parameters=PARAMETERS, allocations=ALLOCATIONS)
    (copy,) = program.body
    found = tuple((r.form, ', '.join(map(E.text, r.starts)), ', '.join(map(E.text, r.extents))) for r in copy.args)
    assert found == ROWS[statement]


class Side:
    def __init__(self, form, starts, extents):
        self.form, self.starts, self.extents = form, starts, extents


def sides(form):
    return st.integers(1, 4).flatmap(lambda rank: st.builds(lambda e: Side(form, (0,) * rank, () if form == 'element' else tuple(e)),
                                                            st.lists(st.integers(1, 9), min_size=rank, max_size=rank)))


@given(sides('region'), st.one_of(sides('region'), sides('element')))
def test_start_indices_take_the_last_extents_of_the_other_side(a, b):
    from tiletwin.language.movement import extents_of, merged_extents

    merged = merged_extents(a, b)
    rank = len(b.starts)
    assert extents_of(a, merged) == a.extents
    if b.form == 'region':
        assert extents_of(b, merged) == b.extents
        assert all(m == max((x.extents[i] if i < len(x.extents) else 1) for x in (a, b)) for i, m in enumerate(merged))
    else:
        wanted = [1] * max(0, rank - len(a.extents)) + list(a.extents)[-rank:]
        assert list(extents_of(b, merged)) == wanted
