"""Comparisons of real operators: what they report is what the launches and the source say."""

from types import SimpleNamespace

import pytest

from tiletwin.harness.compare import Comparison, ModeResult, Request, Twins, compare, comparisons
from tiletwin.harness.cost import cost, cross_flags, source_lines, workspace_bytes
from tiletwin.harness.precision import policy
from tiletwin.harness.registry import operators
from tiletwin.sanitize.findings import Finding, Verdict

OPS = operators()
GEMM, SOFTMAX, WS3 = OPS['matmul.mkkn_gemm'], OPS['softmax'], OPS['flash_attn.ws3']


def case(op, name):
    return next(c for c in op.cases if c.name == name)


@pytest.fixture(scope='module')
def gemm():
    return GEMM.run_case(case(GEMM, 'tail'), 'expert', 'a3')


@pytest.fixture(scope='module')
def attention():
    return WS3.run_case(case(WS3, 'minimum'), 'expert', 'a3')


def test_cost_is_what_the_launch_recorded(gemm):
    found, launch = cost(gemm.launches), gemm.launches[0]
    assert (found.cycles, found.microseconds) == (launch.cycles, launch.microseconds)
    assert (found.gm_read, found.gm_written) == (launch.gm_read, launch.gm_written)
    assert found.memory == launch.memory and found.syncs == launch.syncs
    assert sum(found.critical.values()) == pytest.approx(1.0)
    assert found.busy['AIC M'] == pytest.approx(launch.timeline.busy['AIC', 'M'] / launch.timeline.cycles)


def test_two_launches_add_their_times_and_share_one_text(gemm):
    one, two = cost(gemm.launches), cost(gemm.launches * 2)
    assert (two.cycles, two.gm_read) == (2 * one.cycles, 2 * one.gm_read)
    assert (two.lines, two.syncs, two.workspace, two.memory) == (one.lines, one.syncs, one.workspace, one.memory)
    assert two.busy == pytest.approx(one.busy)


def test_workspaces_and_cross_flags_are_counted(attention, gemm):
    program = attention.launches[0].program
    shapes = [b for b in program.tensors if b.name.startswith('workspace_')]
    assert len(shapes) == 3 and workspace_bytes(program) == sum(b.bytes for b in shapes) > 0
    assert cross_flags(program) == {'0', '1', '2'}
    assert workspace_bytes(gemm.launches[0].program) == 0 and not cross_flags(gemm.launches[0].program)


def test_lines_of_code_leave_out_blanks_comments_and_other_functions(tmp_path, monkeypatch):
    file = tmp_path / 'kernel.py'
    file.write_text('''"""Prose."""
import tiletwin
from tiletwin import language as T


@T.macro
def twice(tile):
    T.tile.add(tile, tile, tile)


def unused():
    return 1


@tiletwin.jit(out_idx=[1])
def factory(n):
    rows = 8

    @T.prim_func
    def main(X: T.Tensor((rows, n), 'float32'), Y: T.Tensor((rows, n), 'float32')):
        with T.Kernel(1, is_npu=True) as (cid, vid):
            # a comment
            tile = T.alloc_ub((rows, n), 'float32')
            with T.Scope('V'):
                T.copy(X, tile)
                T.barrier_all()

                twice(tile)
                T.barrier_all()
                T.copy(tile, Y)

    return main
''')
    import importlib.util

    spec = importlib.util.spec_from_file_location('kernel_of_lines', file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert source_lines(module.factory(64).program) == 9 + 2  # main and the macro


def test_a_mode_without_a_kernel_is_named_missing():
    op = SimpleNamespace(name='new', modes=('expert',), variant=GEMM.variant, run_case=GEMM.run_case)
    found = compare(op, case(GEMM, 'minimum'), 'a3')
    assert found.missing == ('developer',) and found.of('developer').missing == 'ops/developer has no new'
    assert found.twins is None and found.speedup is None and not found.problems


@pytest.mark.parametrize('op', [o for o in OPS.values() if len(o.modes) == 2], ids=lambda o: o.name)
def test_twins_agree_within_the_contract(op):
    first = next(c for c in op.cases if not c.slow and (not c.chips or op.chips[-1] in c.chips))
    found = compare(op, first, op.chips[-1])
    assert found.twins.modes == ('developer', 'expert') and found.twins.policy == op.variant.twins
    assert found.twins.ok, found.problems
    assert found.speedup == found.of('developer').cost.cycles / found.of('expert').cost.cycles


def test_all_takes_every_chip_of_every_operator_and_one_name_takes_the_default_chip(monkeypatch):
    monkeypatch.setattr('tiletwin.harness.compare.compare', lambda op, case, chip, modes: (op.name, case.name, chip))
    everything = list(comparisons(Request(('all',))))
    assert {(n, c) for n, _, c in everything} == {(o.name, c) for o in OPS.values() for c in o.chips}
    assert {k for n, k, _ in everything if n == 'softmax'} == {c.name for c in SOFTMAX.cases}
    assert {k for _, k, _ in comparisons(Request(('softmax',), quick=True))} == {c.name for c in SOFTMAX.cases if not c.slow}
    assert {c for _, _, c in comparisons(Request(('softmax',)))} == {'a3'}
    assert {c for _, _, c in comparisons(Request(('flash_attn.full',)))} == {'a2'}
    assert {c for _, _, c in comparisons(Request(('softmax',), chip='all'))} == set(SOFTMAX.chips)


@pytest.mark.parametrize('op', [o for o in OPS.values() if any(f.skips for f in o.variant.forms.values())], ids=lambda o: o.name)
def test_a_case_a_form_skips_is_left_out_with_its_reason(op):
    mode, form = next((m, f) for m, f in op.variant.forms.items() if f.skips)
    name, reason = next(iter(form.skips.items()))
    (found,) = comparisons(Request((op.name,), (mode,), case=name))
    assert found.of(mode).left_out == reason and not found.of(mode).ran and not found.problems and not found.missing


# -- the judgement, on results made by hand ------------------------------------------------------------------------------
def result(mode, cycles=100.0, findings=(), ok=True, **rest):
    from tiletwin.harness.cost import Cost

    spent = Cost(cycles, cycles / 1000, {}, {}, 0, 0, 0, {}, {}, 0, 1)
    return ModeResult(mode, ok=ok, message='' if ok else 'too far', numbers={}, verdict=Verdict(tuple(findings)), cost=spent, **rest)


def finding(severity, word='flag'):
    return Finding('synccheck', word, severity, 'said')


def comparison(*modes, purpose='source', twins=None, reviews=()):
    return Comparison('op', 'case', purpose, 'a3', modes, twins, reviews)


def test_clean_right_and_faster_has_no_problem():
    assert comparison(result('developer', 200.0), result('expert', 100.0)).problems == ()


@pytest.mark.parametrize('purpose, problems', [('source', 1), ('tail', 0)])
def test_expert_slower_than_developer_is_a_problem_on_source_shapes_only(purpose, problems):
    found = comparison(result('developer', 100.0), result('expert', 120.0), purpose=purpose)
    assert len(found.problems) == problems and all('1.20 times' in p for p in found.problems)


@pytest.mark.parametrize('severity, reviews, bad', [
    ('review', (), True), ('review', ('flag',), False), ('review', ('race',), True), ('error', ('flag',), True), ('incomplete', ('flag',), True),
])
def test_only_review_findings_the_contract_names_are_accepted(severity, reviews, bad):
    assert bool(comparison(result('expert', findings=[finding(severity)]), reviews=reviews).problems) == bad


def test_wrong_numbers_and_differing_twins_are_problems():
    import torch

    apart = policy('bitwise').compare(torch.ones(2), torch.zeros(2))
    twins = Twins(('developer', 'expert'), 'bitwise', {'output 0': apart})
    problems = comparison(result('developer', 9.0), result('expert', 1.0, ok=False), twins=twins).problems
    assert [p.split(':')[0] for p in problems] == ['expert', 'developer against expert, output 0']
    assert not twins.bitwise and not twins.ok


def test_no_tolerance_of_a_reference_serves_the_twins():
    for op in OPS.values():
        assert op.variant.twins == 'bitwise' or op.variant.twins.startswith('ulp '), op.name
        policy(op.variant.twins)
