"""Rules C4 of sparse_flash_attn."""

import pytest
import torch
from .kernel_checks import run_program

import tiletwin
from tiletwin.harness.registry import operators
from tiletwin.ir import expr as E
from tiletwin.passes.substitute import substitute

OLD, NEW = 'sparse_flash_attn.workspace_vid', 'sparse_flash_attn.vid_eliminated'
FORMS = [(name, mode) for name in (OLD, NEW) for mode in ('expert', 'developer')]


def case_of(name, case):
    op = operators()[name]
    return op, next(c for c in op.cases if c.name == case)


def launched(name, case, mode):
    op, case = case_of(name, case)
    return op.run_case(case, mode).launches[0]


def outputs(name, case, mode):
    op, case = case_of(name, case)
    return op.launch(op.variant.make_inputs(case), op.attributes_in(case, mode), mode, 'a3')[0][0]


def test_C4_10_C4_11_neither_vid_nor_workspace_of_its_own():
    new, old = launched(NEW, 'uneven', 'developer').program, launched(OLD, 'uneven', 'developer').program
    assert new.launch.form == 'threads2' and old.launch.form == 'cid_vid'
    assert [b.name for b in new.tensors if b.origin == 'user'] == ['Q', 'KV', 'Indices', 'Output']
    assert [b.name for b in old.tensors if b.origin == 'user'] == ['Q', 'KV', 'Indices', 'Output', *(f'workspace_{i}' for i in range(1, 5))]


@pytest.mark.parametrize('mode', ['expert', 'developer'])
def test_C4_13_eliminating_vid_and_workspaces_changes_no_bit(mode):
    for case in ('uneven', 'tail-heads', 'heads'):
        assert torch.equal(outputs(OLD, case, mode), outputs(NEW, case, mode))


def test_C4_13_one_reference_and_one_policy():
    old, new = operators()[OLD].variant, operators()[NEW].variant
    assert old.reference is new.reference and old.policy('float16') == new.policy('float16') and old.cases is new.cases


def test_C4_14_only_the_old_form_needs_a_reason():
    assert operators()[OLD].variant.fallback_reason and not operators()[NEW].variant.fallback_reason


def test_C4_21_without_vid_both_vector_cores_do_the_same_work():
    op, case = case_of(OLD, 'one-step-items')
    inputs = op.variant.make_inputs(case)
    program = launched(OLD, 'one-step-items', 'expert').program
    (right,), verdict = run_program(program, 'a3', inputs, 1)
    assert verdict.clean
    (wrong,), verdict = run_program(program.with_body(substitute(program.body, {program.launch.vid.name: E.const(0)})), 'a3', inputs, 1)
    assert {'race', 'uninit'} <= {f.word for f in verdict.findings}
    assert not torch.equal(right, wrong)


@pytest.mark.parametrize('name, mode', FORMS)
def test_rows_are_found_wherever_they_are(name, mode):
    """Moving the rows of KV and pointing the indices after them changes no bit."""
    op, case = case_of(name, 'uneven')
    q, kv, indices = op.variant.make_inputs(case)
    order = torch.randperm(kv.shape[1], generator=torch.Generator().manual_seed(1))
    place = torch.argsort(order).to(torch.int32)
    call = tiletwin.operator(name)
    assert torch.equal(call(q, kv, indices, mode=mode), call(q, kv[:, order].contiguous(), place[indices.long()], mode=mode))


@pytest.mark.parametrize('name, mode', FORMS)
def test_one_row_named_again_and_again_is_the_output(name, mode):
    q, kv, indices = operators()[name].variant.make_inputs(case_of(name, 'uneven')[1])
    out = tiletwin.operator(name)(q, kv, torch.full_like(indices, 17), mode=mode)
    torch.testing.assert_close(out, kv[:, 17, 0, :out.shape[-1]].expand(out.shape), rtol=1e-3, atol=1e-3)
