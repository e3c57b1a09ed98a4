"""Jobs in processes: the order of the results, the exceptions, and when a process is not worth it."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tiletwin.errors import EnvironmentError_

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


def die(n):
    if n == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def test_a_process_that_dies_is_an_error_with_a_reason():
    with pytest.raises(EnvironmentError_, match='ended without a result'):
        work_in_parallel(list(range(FEWEST)), die, str, bool, 2)


def note_and_sleep(n):
    path, i = n
    with open(f'{path}/{i}', 'w', encoding='utf-8') as f:
        f.write(str(os.getpid()))
    if i > 1:
        time.sleep(600)
    return i


SLEEPERS = textwrap.dedent("""
    import json, sys
    from tests.harness.test_pool import FEWEST, note_and_sleep
    from tiletwin.harness.pool import work_in_parallel
    if __name__ == '__main__':
        done = work_in_parallel([(sys.argv[1], i) for i in range(FEWEST)], note_and_sleep, str, lambda n: False, 2)
        print(json.dumps([list(done), len(done.left)]))
""")


def alive(pid):
    try:
        return open(f'/proc/{pid}/stat', encoding='utf-8').read().rsplit(') ', 1)[1][0] != 'Z'
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != 'linux', reason='looks at /proc')
@pytest.mark.parametrize('stop', [signal.SIGINT, signal.SIGKILL], ids=['Ctrl-C', 'killed'])
def test_no_process_outlives_the_one_that_started_it(stop, tmp_path):
    script = tmp_path / 'sleepers.py'
    script.write_text(SLEEPERS, encoding='utf-8')
    notes = tmp_path / 'notes'
    notes.mkdir()
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parent = subprocess.Popen([sys.executable, script, notes], env={**os.environ, 'PYTHONPATH': root}, stdout=subprocess.PIPE, text=True,
                              start_new_session=True)

    def until(done):
        for _ in range(2400):
            if done():
                return
            time.sleep(0.05)
        pytest.fail('nothing happened')

    try:
        # Jobs 0 and 1 end at once, 2 and 3 hold both processes.
        until(lambda: len(list(notes.iterdir())) == 4 and all(f.read_text() for f in notes.iterdir()))
        pids = {int(f.read_text()) for f in notes.iterdir()}
        # Ctrl-C reaches every process of the terminal.
        (os.killpg if stop == signal.SIGINT else os.kill)(parent.pid, stop)
        out = parent.communicate(timeout=120)[0]
        assert stop == signal.SIGKILL or json.loads(out) == [[0, 1], FEWEST - 2]
        until(lambda: not any(map(alive, pids)))
    finally:
        parent.kill()
        parent.communicate()


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
