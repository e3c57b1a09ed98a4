"""Kernels of one statement: the statement is the case, everything around it is the same."""

import importlib.util
import itertools
import textwrap
from pathlib import Path

import pytest

ALLOCATIONS = """\
u = T.alloc_ub((32, 64), 'float32')
w = T.alloc_ub((32, 64), 'float32')
r = T.alloc_ub((32, 64), 'float32')
h = T.alloc_ub((32, 64), 'float16')
v = T.alloc_ub((64,), 'float32')
c = T.alloc_ub((32,), 'float32')
n32 = T.alloc_ub((64,), 'int32')
i16 = T.alloc_ub((64,), 'int16')
off = T.alloc_ub((64,), 'uint32')
mask = T.alloc_ub((256,), 'uint8')
pairs = T.alloc_ub((128,), 'float32')
u3 = T.alloc_ub((2, 32, 64), 'float32')
l1 = T.alloc_L1((32, 64), 'float16')
l1t = T.alloc_L1((64, 32), 'float16')
l1s = T.alloc_L1((2, 32, 64), 'float16')
la = T.alloc_L0A((32, 64), 'float16')
lb = T.alloc_L0B((64, 32), 'float16')
lc = T.alloc_L0C((32, 32), 'float32')
s = T.alloc_shared((32, 64), 'float32')
f = T.alloc_fragment((32, 32), 'float32')
var = T.alloc_var('int32', init=0)"""

PARAMETERS = ("A: T.Tensor((100, 72), 'float32'), B: T.Tensor((2, 128, 4, 64), 'float32'), H: T.Tensor((128, 64), 'float16'), "
              "I: T.Tensor((64,), 'int32'), p: T.int32, q: T.float32")


class Source:
    """Writes kernel files and imports them, because a kernel is built from its source text."""

    def __init__(self, folder: Path):
        self.folder, self.count = folder, itertools.count()

    def module(self, text: str, name: str | None = None):
        path = self.folder / f'{name or f"kernel_{next(self.count)}"}.py'
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def kernel(self, body: str, parameters: str = PARAMETERS, frame: str = 'T.Kernel(4, is_npu=True) as (cid, vid)', before: str = '',
               allocations: str = ALLOCATIONS):
        text = ['import tiletwin.language as T', 'from tiletwin.intrinsics import *', before, '@T.prim_func', f'def main({parameters}):',
                f'    with {frame}:',
                textwrap.indent(allocations, ' ' * 8), textwrap.indent(textwrap.dedent(body).strip('\n'), ' ' * 8), '']
        return self.module('\n'.join(text)).main.program

    def statements(self, body: str, **more):
        """The statements of the kernel body, as the printer writes them."""
        from tiletwin.ir.printer import text

        return text(self.kernel(body, **more)).split('\n\n', 1)[1].rstrip('\n').splitlines()

    def one(self, body: str, **more) -> str:
        (line,) = self.statements(body, **more)
        return line


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv('TILETWIN_CACHE_DIR', str(tmp_path / 'cache'))
    return Source(tmp_path)
