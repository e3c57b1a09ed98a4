"""A kernel is traced again exactly when something it depends on changed."""

import os
import subprocess
import sys

import pytest

from tiletwin.language import cache, entry

TEXT = '''import math
import tiletwin.language as T
{head}
SIZE = {size}
NAMES = {{'a': [1, {listed}]}}

def half(n):
    return n // {divisor}

@T.macro
def touch(dst):
    T.tile.fill(dst, {filled})

def make(n, dtype='float32', {extra}):
    @T.prim_func
    def main(A: T.Tensor((n, 64), dtype)):
        with T.Kernel(half(n) + math.gcd(4, 6), is_npu=True) as (cid, vid):
            u = T.alloc_ub((SIZE, 64), dtype)
            touch(u)
            T.copy(A[NAMES['a'][1], 0], u)
    return main
'''
BASE = {'head': '', 'size': 8, 'listed': 2, 'divisor': 2, 'filled': 0.5, 'extra': '_=None'}


@pytest.fixture
def traced(monkeypatch):
    """How often a kernel was traced."""
    count = []
    real = entry.trace
    monkeypatch.setattr(entry, 'trace', lambda func: count.append(func) or real(func))
    cache._programs.clear()
    return count


def make(source, *args, name='cached', **changes):
    return source.module(TEXT.format(**BASE | changes), name).make(*args)


def test_the_second_build_is_a_hit(source, traced):
    first, second = make(source, 32), make(source, 32)
    assert len(traced) == 1 and first.program is second.program


def test_another_process_reads_it_from_disk(source, traced):
    make(source, 32)
    cache._programs.clear()
    program = make(source, 32).program
    assert len(traced) == 1
    path = str(source.folder / 'cached.py')
    code = ("import sys\nimport importlib.util as u\nfrom tiletwin.language import entry\nentry.trace = lambda f: sys.exit('traced')\n"
            f"s = u.spec_from_file_location('cached', {path!r}); m = u.module_from_spec(s); s.loader.exec_module(m)\nprint(m.make(32).program.name)")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)})
    assert (done.returncode, done.stdout.strip()) == (0, program.name), done.stderr


@pytest.mark.parametrize('change', [{'size': 16}, {'listed': 3}, {'divisor': 4}, {'filled': 0.25}, {'head': '# a line more'}], ids=str)
def test_a_changed_global_helper_macro_or_line_is_a_miss(source, traced, change):
    if 'head' in change:
        change = {'head': '# a line more\n'}
    make(source, 32)
    make(source, 32, **change)
    assert len(traced) == 2


@pytest.mark.parametrize('other', [(33,), (32, 'float16'), (32.0,)], ids=str)
def test_a_changed_closure_value_is_a_miss(source, traced, other):
    make(source, 32)
    try:
        make(source, *other)
    except TypeError:
        assert isinstance(other[0], float)  # an extent must be an int: equal to Python, refused all the same
    assert len(traced) == (1 if isinstance(other[0], float) else 2)


def test_the_same_symbolic_name_is_one_dimension_or_two(source, traced):
    text = ('import tiletwin.language as T\ndef make(m, n):\n    @T.prim_func\n    def main(A: T.Tensor((m, n), "float32")):\n'
            '        with T.Kernel(m, is_npu=True) as (cid, vid):\n            A[0, 0] = 1.0\n    return main\n')
    module = source.module(text, 'symbols')
    import tiletwin.language as T

    x, y = T.symbolic('x'), T.symbolic('x')
    one, two, again = module.make(x, x), module.make(x, y), module.make(y, y)
    assert len(traced) == 2 and again.program is one.program
    assert one.program.buffers['A'].shape[0] == one.program.buffers['A'].shape[1]
    assert two.program.buffers['A'].shape[0] != two.program.buffers['A'].shape[1]


@pytest.mark.parametrize('damage', [b'', b'tiletwin program 1\n', b'noise', None], ids=['empty', 'header', 'noise', 'one byte'])
def test_a_damaged_file_is_ignored_and_replaced(source, traced, damage):
    wanted = make(source, 32)
    path = cache._path(wanted.key)
    whole = path.read_bytes()
    path.write_bytes(damage if damage is not None else whole[:-1] + bytes([whole[-1] ^ 1]))
    cache._programs.clear()
    assert make(source, 32).program == wanted.program
    assert len(traced) == 2 and path.read_bytes() == whole


def test_a_directory_that_cannot_be_written_is_no_error(source, traced, monkeypatch):
    (source.folder / 'file').write_text('')
    monkeypatch.setenv('TILETWIN_CACHE_DIR', str(source.folder / 'file' / 'below'))
    make(source, 32)
    assert len(traced) == 1


def test_disable_traces_every_time_and_clear_forgets(source, traced):
    kernel = make(source, 32)
    cache.disable()
    try:
        assert not cache.is_enabled()
        make(source, 32)
    finally:
        cache.enable()
    assert len(traced) == 2
    cache.clear()
    assert not cache._path(kernel.key).exists()
    make(source, 32)
    assert len(traced) == 3


@pytest.mark.parametrize('head', ['import random\nhalf2 = random.random', 'import os\nhalf2 = lambda: os.environ["X"]', 'half2 = object()'],
                         ids=['random', 'environ', 'object'])
def test_what_has_no_stable_text_is_never_kept(source, traced, monkeypatch, head):
    monkeypatch.setenv('X', '1')
    text = TEXT.format(**BASE | {'head': head}).replace('touch(u)\n', 'touch(u)\n            half2\n')
    module = source.module(text, 'unsteady')
    assert module.make(32).key is None
    module.make(32)
    assert len(traced) == 2


def test_the_same_source_builds_quickly_once_rewritten(source, traced):
    """Rewriting the syntax tree is most of a build; it happens once per source, not once per closure."""
    import time

    module = source.module(TEXT.format(**BASE), 'quick')
    module.make(32)
    start = time.perf_counter()
    module.make(64)
    assert time.perf_counter() - start < 0.1 and len(traced) == 2
