"""Comparisons made by hand, as text and as Markdown, against golden files."""

import io

from tiletwin.errors import CapacityError
from tiletwin.harness.compare import Comparison, ModeResult, Twins
from tiletwin.harness.cost import Cost
from tiletwin.harness.precision import Comparison as Numbers
from tiletwin.report.compare import longest, markdown, print_comparisons
from tiletwin.report.console import make_console
from tiletwin.sanitize.findings import Finding, Verdict


def numbers(scale=1.0, ok=True, policy='allclose 1e-2/1e-2 + l2 1e-5'):
    ulps = {'0': 4000, '<=1': 90, '<=2': 0, '>256': 6}
    return Numbers(policy, ok, 3e-5 * scale, 0.25 * scale, 2e-6 * scale, 1e-7 * scale, 0 if ok else 12, 4096, None, ulps,
                   -1e-9 * scale, scale == 0, '' if ok else '12 of 4096 elements outside')


def mode(name, cycles, **changes):
    spent = Cost(cycles, cycles / 1850, {'AIC M': 0.5, 'AIC MTE2': 0.75}, {'AIC MTE2': 0.7, 'sync/issue': 0.3}, 65536, 16384,
                 0 if name == 'expert' else 8192,
                 {'L1': 98304, 'L0C': 65536}, {'set_flag': 9, 'wait_flag': 9} if name == 'expert' else {'barrier_all': 2}, 0,
                 58 if name == 'expert' else 19)
    return ModeResult(name, **({'ok': True, 'numbers': {'output 0': numbers()}, 'cost': spent} | changes))


def example():
    doubtful = Verdict((Finding('synccheck', 'flag', 'review', 'said'),))
    return [
        Comparison('matmul.mkkn_gemm', 'source', 'source', 'a3', (mode('developer', 50000.0), mode('expert', 25000.0)),
                   Twins(('developer', 'expert'), 'bitwise', {'output 0': numbers(0)})),
        Comparison('matmul.mkkn_gemm', 'tail', 'tail', 'a3', (mode('developer', 4000.0, verdict=doubtful), mode('expert', 4100.0)),
                   Twins(('developer', 'expert'), 'ulp 4', {'output 0': numbers(ok=False, policy='ulp 4')}), ('flag',)),
        Comparison('softmax', 'source', 'source', 'a5', (
            ModeResult('developer', missing='ops/developer has no softmax'), mode('expert', 9000.0, ok=False,
                                                               message='output 0: 3 of 10 elements outside')), None),
        Comparison('softmax', 'tail', 'tail', 'a5', (ModeResult('developer', refusal=CapacityError('UB overflow on a5')), mode('expert', 900.0)),
                   None),
    ]


def text(found, full):
    stream = io.StringIO()
    print_comparisons(make_console(stream), found, full)
    return '\n'.join(line.rstrip() for line in stream.getvalue().splitlines()) + '\n'


def test_the_terminal_report(golden):
    golden('compare.txt', text(example(), full=True))


def test_the_markdown_report(golden):
    golden('compare.md', markdown(example(), full=True) + '\n')


def test_without_full_the_figures_of_one_case_are_left_out():
    assert 'critical path' in text(example(), full=True)
    assert 'critical path' not in text(example(), full=False) and 'critical path' not in markdown(example(), full=False)


def test_the_longest_case_is_told_in_full():
    assert longest(example()).case == 'source' and longest(example()).operator == 'matmul.mkkn_gemm'
    assert longest([]) is None


def test_a_bar_in_a_cell_does_not_break_the_table():
    c = Comparison('a|b', 'x|y', 'tail', 'a3', (mode('expert', 1.0),), None)
    table = [line for line in markdown([c], full=False).splitlines() if line.startswith('|')]
    assert len({line.replace('\\|', '').count('|') for line in table}) == 1
