"""What every contract must hold, whatever the operator."""

import importlib
import inspect

import pytest
import torch

from tiletwin.errors import CallError
from tiletwin.harness.precision import policy
from tiletwin.harness.registry import MODES, operators

ALL = list(operators().values())


@pytest.mark.parametrize('op', ALL, ids=lambda o: o.name)
def test_case_table_covers_minimum_source_tail_reuse_idle_uneven(op):
    """CH.1"""
    assert {'minimum', 'source', 'tail', 'reuse', 'idle', 'uneven'} <= {c.purpose for c in op.cases}
    assert len({c.name for c in op.cases}) == len(op.cases)


@pytest.mark.parametrize('op', ALL, ids=lambda o: o.name)
def test_inputs_are_the_same_every_time_and_fit_the_contract(op):
    for case in (c for c in op.cases if not c.slow):
        first, second = op.variant.make_inputs(case), op.variant.make_inputs(case)
        assert all(torch.equal(a.view(torch.uint8), b.view(torch.uint8)) for a, b in zip(first, second))
        assert op.variant.bind(first, op.variant.settings(case.attributes)) == dict(case.sizes)


@pytest.mark.parametrize('op', ALL, ids=lambda o: o.name)
def test_cases_of_equal_shape_draw_different_numbers(op):
    seen = {}
    for case in (c for c in op.cases if not c.slow):
        x = op.variant.make_inputs(case)[0]
        for other in seen.get(x.shape, ()):
            assert x.numel() == 1 or not torch.equal(x.float(), other.float())
        seen.setdefault(x.shape, []).append(x)


@pytest.mark.parametrize('op', ALL, ids=lambda o: o.name)
def test_policy_rejects_an_all_zero_output(op):
    """CH.3"""
    case = next(c for c in op.cases if c.name == 'source' or c.name == 'long-rows' if not c.slow)
    for right in op.variant.reference(*op.variant.make_inputs(case), **op.variant.settings(case.attributes)):
        rule = policy(op.variant.policy(str(right.dtype).removeprefix('torch.')))
        assert rule.compare(right.clone(), right).ok
        assert not rule.compare(torch.zeros_like(right), right).ok


@pytest.mark.parametrize('op', ALL, ids=lambda o: o.name)
def test_every_mode_takes_every_size_and_attribute_by_name(op):
    case = op.cases[0]
    settings = {**op.variant.settings(case.attributes), 'cores': 1}
    dtypes = tuple(str(x.dtype).removeprefix('torch.') for x in op.variant.make_inputs(case))
    arguments = op.variant.arguments(dict(case.sizes), settings, dtypes) if op.variant.arguments else {**case.sizes, **settings}
    assert set(op.variant.attributes) <= set(arguments)
    for mode in op.modes:
        factory = getattr(importlib.import_module(f'ops.{mode}.{op.variant.family}'), op.variant.kernel)
        assert inspect.signature(factory).bind(**{k: v for k, v in arguments.items() if k not in op.variant.form(mode).without})


FORMS = [(op, mode, form) for op in ALL for mode, form in op.variant.forms.items()]


@pytest.mark.parametrize('op, mode, form', FORMS, ids=[f'{o.name}-{m}' for o, m, _ in FORMS])
def test_a_form_names_what_it_leaves_out_and_why(op, mode, form):
    assert mode in MODES
    assert set(form.without) <= set(op.variant.attributes)
    assert set(form.skips) <= {c.name for c in op.cases}
    assert all(len(reason) > 10 for reason in (*form.without.values(), *form.skips.values()))
    # Only the number of blocks may be left out of a case: any other attribute is what the case is about.
    for case in op.cases_in(mode):
        assert set(case.attributes) & set(form.without) <= {'cores'}, case.name


@pytest.mark.parametrize('op, mode, form', [f for f in FORMS if f[2].without], ids=[f'{o.name}-{m}' for o, m, f in FORMS if f.without])
def test_an_attribute_a_form_does_not_take_is_refused(op, mode, form):
    inputs = op.variant.make_inputs(op.cases[0])
    other = {'cores': 3, 'schedule': 'barrier', 's1_tile': 512, 'qk_preload': 4, 'exp_ring': 4, 'row_slice': False, 'gu_barrier': False,
             'combine': 'scalar'}
    for key in form.without:
        with pytest.raises(CallError, match=f'takes no {key}'):
            op(*inputs, mode=mode, arch=op.chips[0], **{**op.attributes_in(op.cases[0], mode), key: other[key]})
