"""Scripts written for tilelang-ascend run as they are; together they use every name of the dialect. Broken ones end with a report."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tiletwin.compat import session, support

HERE = Path(__file__).resolve().parent
SCRIPTS = sorted(p for p in HERE.glob('*.py') if not p.name.startswith('test_'))
BROKEN = {
    # script: (own exit status, what the report says)
    'race.py': (0, 'error[race] RAW on a'),
    'deadlock.py': (0, 'error[deadlock]'),
    'out_of_bounds.py': (1, 'index 64 is out of bounds'),
    'uninitialised.py': (0, 'error[uninit]'),
    'capacity.py': (1, 'error[capacity] UB overflow'),
    'flag.py': (0, 'error[flag]'),
    'wrong_dtype.py': (1, 'Buffer dtype mismatch for parameter A: expected float16, got float32'),
    'missing_import.py': (1, "No module named 'no_such_folder'"),
    'syntax_error.py': (1, "SyntaxError: expected ':'"),
    'unsupported_name.py': (1, "T.tile has no 'reduce_logsumexp'"),
    'wrong_result.py': (1, 'Tensor-likes are not close'),
    'shmem.py': (1, 'needs the vendor SHMEM runtime'),
    'vendor_operator.py': (1, 'torch_npu.npu_fusion_attention is not supported'),
    'written_behind.py': (0, 'writes behind the end of `B`'),
}


@pytest.fixture(autouse=True)
def _environment():
    """A run sets the environment of its process; tests share one."""
    before, filters = dict(os.environ), sys.modules.get('warnings').filters[:]
    yield
    session.remove()
    os.environ.clear()
    os.environ.update(before)
    sys.modules['warnings'].filters[:] = filters


def report(record):
    import io

    from tiletwin.report.console import make_console
    from tiletwin.report.session import print_session

    out = io.StringIO()
    print_session(make_console(out), record, True)
    return out.getvalue()


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda p: p.stem)
def test_script_runs_unchanged_and_clean(script, capfd):
    record = session.run(session.Setting(), str(script), None, [])
    said = report(record)
    assert record.exit_status(strict=True) == 0, said
    assert record.kernels and all(k.level == 'clean' and k.microseconds > 0 for k in record.kernels.values()), said
    assert said.count('us modelled') == len(record.kernels)


@pytest.mark.parametrize('script', BROKEN)
def test_broken_script_ends_with_a_report(script, capfd):
    own, words = BROKEN[script]
    record = session.run(session.Setting(), str(HERE / 'broken' / script), None, [])
    said = report(record)
    assert (record.status, record.exit_status(strict=False)) == (own, 1), said
    assert words in said
    assert not re.search(r'File ".*/tiletwin/', said)
    assert f'{script}' in said


def names(tree: ast.AST):
    """Dotted names a script uses, with what its imports say they are."""
    bound = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for a in node.names:
                bound[a.asname or a.name.split('.')[0]] = a.name if a.asname else a.name.split('.')[0]
                yield a.name
        elif isinstance(node, ast.ImportFrom):
            for a in node.names:
                bound[a.asname or a.name] = f'{node.module}.{a.name}'
                yield f'{node.module}.{a.name}'
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and ast.unparse(node.value) == 'tilelang.PassConfigKey':
            bound[node.targets[0].id] = 'tilelang.PassConfigKey'
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)):
            text = ast.unparse(node)
            head, _, rest = text.partition('.')
            if head in bound and re.fullmatch(r'[\w.]+', text):
                yield f'{bound[head]}.{rest}' if rest else bound[head]
        # mock.patch.object(LibraryGenerator, 'load_lib', ...)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith('patch.object') and isinstance(node.args[1], ast.Constant):
            yield f'{bound.get(ast.unparse(node.args[0]))}.{node.args[1].value}'


def test_the_scripts_use_every_supported_name():
    used = set()
    for script in SCRIPTS:
        for name in names(ast.parse(script.read_text(encoding='utf-8'))):
            parts = name.replace('tilelang.language.reduce_ascend', 'R').replace('tilelang.language', 'T').split('.')
            used |= {'.'.join(parts[:i]).replace('R', 'tilelang.language.reduce_ascend') if parts[0] == 'R' else '.'.join(parts[:i])
                     for i in range(1, len(parts) + 1)}
    missing = [row.name for row in support.rows() if row.supported and row.name not in used]
    assert not missing


def test_the_support_table_is_up_to_date_and_covers_the_dialect():
    table = support.rows()
    assert support.share(table) >= 0.99
    assert (HERE.parents[1] / 'docs' / 'dialect-support.md').read_text(encoding='utf-8') == support.page()


def test_refused_names_are_refused_when_used():
    from tiletwin.errors import UnsupportedError

    for name in support.REFUSED:
        with pytest.raises(UnsupportedError):
            support.lookup(name)()


def tiletwin(*args, **env):
    return subprocess.run([sys.executable, '-m', 'tiletwin', 'run', *args], capture_output=True, text=True, cwd=HERE.parents[1], env=os.environ | env, timeout=120)


def test_the_command_passes_arguments_and_keeps_standard_output(tmp_path):
    page = tmp_path / 'out.html'
    done = tiletwin('--arch', 'a2', '--report', str(page), 'tests/scripts/gemm_expert.py', '--m', '64', '--n', '64', '--k', '64')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ['init successful!', 'Kernel Output Match!']
    assert 'us modelled on a2 (ascendc)' in done.stderr
    assert 'clean' in page.read_text(encoding='utf-8')


def test_pytest_runs_as_a_module():
    done = tiletwin('-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests/scripts/suite/check_vector.py')
    assert done.returncode == 0, done.stdout + done.stderr
    assert '3 passed' in done.stdout and 'us modelled' in done.stderr


def test_a_missing_script_is_an_error_of_usage():
    done = tiletwin('no_such_script.py')
    assert done.returncode == 2 and 'no_such_script.py' in done.stderr and 'Traceback' not in done.stderr


def test_a_finding_turns_the_exit_status_and_can_be_switched_off():
    assert tiletwin('tests/scripts/broken/race.py').returncode == 1
    done = tiletwin('--no-sanitize', 'tests/scripts/broken/race.py')
    assert done.returncode == 0 and 'not checked' in done.stderr
