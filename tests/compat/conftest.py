"""A process that looks as a script finds it, for one test at a time."""

import os

import pytest

from tiletwin.compat import session


@pytest.fixture
def script(tmp_path, capfd):
    """Runs a text as a script in this process; gives the session and what it printed."""
    before = dict(os.environ)

    def run(text, strict=False, first='', **setting):
        path = tmp_path / 'script.py'
        path.write_text(first + 'import tilelang\nimport tilelang.language as T\nimport torch\n' + text, encoding='utf-8')
        record = session.run(session.Setting(strict=strict, **setting), str(path), None, [])
        return record, capfd.readouterr()

    yield run
    session.remove()
    os.environ.clear()
    os.environ.update(before)
