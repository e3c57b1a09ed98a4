"""Work on many jobs: order, silence in a pipe, a bar on a terminal, and what an interrupt leaves."""

import io
import sys

import pytest

from tiletwin.harness.progress import work_through


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def stderr(monkeypatch):
    def use(stream):
        monkeypatch.setattr(sys, 'stderr', stream)
        return stream
    return use


def test_results_come_in_the_order_of_the_jobs():
    done = work_through([3, 1, 2], lambda n: n * n, str)
    assert (list(done), len(done), done.left, done.note) == ([9, 1, 4], 3, (), '')


@pytest.mark.parametrize('at', range(4))
def test_an_interrupt_keeps_what_is_finished_and_names_what_is_left(at):
    def do(n):
        if n == at:
            raise KeyboardInterrupt
        return n

    done = work_through(range(4), do, str)
    assert done.results == tuple(range(at)) and done.left == tuple(range(at, 4))
    assert done.note == f'interrupted: {at} of 4 done'


def test_an_error_of_a_job_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        work_through([0], lambda n: 1 / n, str)


def test_nothing_is_written_into_a_pipe(stderr):
    stream = stderr(io.StringIO())
    work_through(range(3), str, str)
    assert stream.getvalue() == ''


def test_a_terminal_sees_the_job_and_how_many_there_are(stderr):
    stream = stderr(Terminal())
    work_through(['softmax [x]'], lambda n: n, str)
    assert 'softmax [x]' in stream.getvalue() and '/1' in stream.getvalue()


def test_prints_of_a_job_stay_on_standard_output(stderr, capsys):
    stream = stderr(Terminal())
    work_through(['a'], lambda n: print('of the script'), str)
    assert capsys.readouterr().out == 'of the script\n' and 'of the script' not in stream.getvalue()
