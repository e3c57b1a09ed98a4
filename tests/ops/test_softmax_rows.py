"""The base softmax takes the rows it says it takes, and UB holds them."""

import pytest
import torch

import tiletwin
from ops.contracts.softmax import LONGEST
from ops.expert.softmax import base_rows


@pytest.mark.parametrize('dtype, longest', LONGEST.items())
def test_longest_row_fits_and_the_next_does_not(dtype, longest):
    assert base_rows(1, longest, dtype) == 1
    assert base_rows(1, longest + 1, dtype) == 0
    op = tiletwin.operator('softmax')
    x = torch.linspace(-4, 4, longest)[None].to(getattr(torch, dtype))
    y = op(x, cores=1)
    assert op.last.verdict.clean
    torch.testing.assert_close(y.float(), torch.softmax(x.float(), -1), rtol=1e-2, atol=1e-6)
