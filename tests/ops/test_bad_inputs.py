"""A wrong call gets the documented error before anything runs."""

import pytest
import torch

import tiletwin
from tiletwin.errors import CallError, EnvironmentError_
from tiletwin.harness.registry import operators

NODES = [(op, bad) for op in operators().values() for bad in op.variant.bad]


@pytest.mark.parametrize('op, bad', NODES, ids=[f'{o.name}-{b.name}' for o, b in NODES])
def test_refused_before_launch(op, bad):
    tensors, attributes = bad.call()
    launches = []
    with tiletwin.observe(launches.append), pytest.raises(bad.error) as caught:
        op(*tensors, **attributes)
    assert bad.says in str(caught.value)
    assert not launches


@pytest.mark.parametrize('name', [name for name in operators()])
def test_contract_documents_refusals_of_every_input(name):
    """At least: wrong dtype, wrong rank, non-contiguous, missing."""
    assert {'dtype', 'rank', 'transposed', 'missing'} <= {b.name for b in operators()[name].variant.bad}


@pytest.mark.parametrize('keywords, says', [
    ({'arch': 'a9'}, "unknown chip 'a9'"), ({'mode': 'auto'}, 'has no auto form'), ({'arch': 'a5'}, 'is not written for a5'),
])
def test_unknown_chip_or_mode(keywords, says):
    q = torch.zeros(1, 1, 64, 64, dtype=torch.float16)
    with pytest.raises(EnvironmentError_, match=says):
        tiletwin.operator('flash_attn.ws3')(q, q, q, **keywords)


def test_unknown_operator_names_the_nearest():
    with pytest.raises(EnvironmentError_, match="did you mean 'softmax'"):
        tiletwin.operator('softmx')


@pytest.mark.parametrize('cores', [0, -1, 2.0, True])
def test_cores_is_a_positive_int(cores):
    with pytest.raises(CallError, match='cores is'):
        tiletwin.operator('softmax')(torch.zeros(4, 8), cores=cores)
