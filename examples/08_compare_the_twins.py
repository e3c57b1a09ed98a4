"""The twins of an operator: the developer form leaves everything to the compiler, the expert form is written by hand.

Both run on the same case. The report says whether they compute the same, whether either can race, how long each should take, and what the
longest block of each waits for: that is where the next improvement is.

    tiletwin compare matmul.mkkn_gemm --case source
    tiletwin compare softmax --markdown
"""

from tiletwin.harness.compare import Request, comparisons
from tiletwin.report.compare import twins_text

if __name__ == '__main__':
    (found,) = comparisons(Request(('matmul.mkkn_gemm',), case='source'))
    for form in found.modes:
        cost = form.cost
        print(f'{form.mode}: {form.verdict.level}, {cost.microseconds:.1f} us modelled, {cost.lines} lines, syncs {cost.syncs}')
        for name, share in cost.critical.items():
            print(f'  {100 * share:5.1f} % of the time waits for {name}')
    print(twins_text(found))
    assert not found.problems
