"""Jobs in processes: the order of the results, the exceptions, and when a process is not worth it."""

import os

import pytest

from tiletwin.harness.pool import FEWEST, cores, work_in_parallel


def square(n):
    return n * n, os.getpid()


def refuse(n):
    if n == 3:
        raise ValueError(f'{n} is refused')
    return n


def test_results_come_in_the_order_of_the_jobs_whoever_did_them():
    jobs = list(range(2 * FEWEST))
    done = work_in_parallel(jobs, square, str, lambda n: n % 2 == 1, 2)
    assert [n for n, _ in done] == [n * n for n in jobs] and not done.left
    assert os.getpid() not in {pid for _, pid in done}


@pytest.mark.parametrize('jobs, workers', [(FEWEST - 1, 4), (FEWEST, 1)])
def test_few_jobs_or_one_core_stay_in_this_process(jobs, workers):
    assert {pid for _, pid in work_in_parallel(list(range(jobs)), square, str, bool, workers)} == {os.getpid()}


def test_an_error_of_a_job_is_an_error_of_all():
    with pytest.raises(ValueError, match='3 is refused'):
        work_in_parallel(list(range(FEWEST)), refuse, str, bool, 2)


def test_there_is_at_least_one_core():
    assert cores() >= 1


def test_a_comparison_crosses_to_another_process_and_back():
    import pickle

    from tiletwin.errors import CallError, Span
    from tiletwin.harness.compare import Comparison, Job, ModeResult, run_job

    found = run_job(Job('flash_attn.a3_4stage', 'a3', 'source', False, ('developer', 'expert')))
    again = pickle.loads(pickle.dumps(found))
    assert again.of('expert').shown and again.of('expert') == found.of('expert') and again.problems == found.problems
    call = CallError('x is 3', where=Span('f.py', 3), why='w', instead='4')
    refused = Comparison('op', 'case', 'tail', 'a3', (ModeResult('expert', refusal=call),), None)
    error = pickle.loads(pickle.dumps(refused)).of('expert').refusal
    assert (error.what, error.where, error.why, error.instead, str(error)) == ('x is 3', Span('f.py', 3), 'w', '4', str(refused.of('expert').refusal))
