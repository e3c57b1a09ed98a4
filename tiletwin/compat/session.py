"""A script, a module or a test run with tilelang-ascend and torch_npu in place, and everything it launched."""

from __future__ import annotations

import builtins
import os
import runpy
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

from ..backends.choose import simulated
from ..errors import Span, TileTwinError
from ..sanitize.findings import LEVELS, Finding

_PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep


@dataclass(frozen=True)
class Setting:
    """How scripts are run."""

    arch: str | None = None
    target: str | None = None
    strict: bool = False
    sanitize: bool = True
    traceback: bool = False
    data: bool = True  # off: times and findings only, outputs are left unwritten


@dataclass
class Kernel:
    """All launches of one kernel on one chip."""

    name: str
    chip: str
    target: str
    where: str
    launches: int = 0
    microseconds: float = 0.0  # modelled, all launches
    shapes: set[str] = field(default_factory=set)
    findings: dict[str, Finding] = field(default_factory=dict)

    @property
    def level(self) -> str:
        return max((f.severity for f in self.findings.values()), key=LEVELS.index, default='clean')


@dataclass
class Session:
    """What a run left behind."""

    kernels: dict[tuple, Kernel] = field(default_factory=dict)
    status: int = 0  # the script's own
    refusal: TileTwinError | None = None
    failure: str = ''  # traceback of the script's own error

    def saw(self, launch: Any) -> None:
        program = launch.program
        place = str(program.span) if program.span else ''
        key = (program.name, place, launch.chip, launch.target)
        kernel = self.kernels.setdefault(key, Kernel(program.name, launch.chip, launch.target, place))
        kernel.launches += 1
        kernel.microseconds += launch.microseconds
        for f in launch.verdict.findings:
            kernel.findings.setdefault(f.id, f)
        for line in launch.prints:
            sys.stdout.write(line if line.endswith('\n') else line + '\n')

    @property
    def findings(self) -> list[Finding]:
        return list({f.id: f for k in self.kernels.values() for f in k.findings.values()}.values())

    def exit_status(self, strict: bool) -> int:
        """1 when a kernel is wrong, else what the script ended with."""
        bad = {'error', *(('review', 'incomplete') if strict else ())}
        return 1 if any(f.severity in bad for f in self.findings) else self.status


def environment(setting: Setting) -> dict[str, str]:
    """Choices that reach kernels wherever they are compiled."""
    found = {'TILETWIN_LENIENT': '0' if setting.strict else '1',
             'TILETWIN_SANITIZE': '1' if setting.sanitize else '0',
             'TILETWIN_DATA': '1' if setting.data else '0'}
    if setting.arch:
        found['TL_PLATFORM'] = setting.arch.upper()
    if setting.target:
        found['TILETWIN_TARGET'] = setting.target
    return found


def install() -> None:
    """tilelang, torch.npu and torch_npu for the rest of the process."""
    from ..npu_guard import guard

    guard()
    from . import device, modules, npu

    found = npu.modules()
    sys.modules.update(found)
    modules.install()
    device.install(found['torch.npu'])


def remove() -> None:
    """The process as it was before `install`."""
    from . import device, modules, npu

    if 'tiletwin.language.cache' in sys.modules:
        # Scripts switch the cache off for themselves.
        sys.modules['tiletwin.language.cache'].enable()
    device.remove()
    modules.remove()
    for name in npu.modules():
        sys.modules.pop(name, None)


def run(setting: Setting, path: str | None, module: str | None, args: list[str]) -> Session:
    """Runs a file, or a module as `python -m` does."""
    session = Session()
    simulated('tiletwin run')
    os.environ.update(environment(setting))
    if path is not None and not Path(path).is_file():
        print(f"tiletwin: can't open file {path!r}: no such file", file=sys.stderr)
        session.status = 2
        return session
    install()
    from ..jit import observe
    from .clock import clock

    shown = path or module or ''
    before = sys.argv, list(sys.path)
    sys.argv = [shown, *args]
    sys.path.insert(0, str(Path(path).resolve().parent) if path else os.getcwd())
    try:
        with observe(clock.advance), observe(session.saw):
            _execute(session, path, module, setting)
    finally:
        sys.argv, sys.path[:] = before
        sys.stdout.flush()
    return session


def _execute(session: Session, path: str | None, module: str | None, setting: Setting) -> None:
    try:
        if path is not None:
            runpy.run_path(path, run_name='__main__')
        else:
            runpy.run_module(module or '', run_name='__main__', alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        session.status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except TileTwinError as refusal:
        session.refusal, session.status = _placed(refusal, path), 1
        if setting.traceback:
            session.failure = traceback.format_exc()
    except KeyboardInterrupt:
        session.status = 130
    except BaseException as error:
        session.status = 1
        session.failure = traceback.format_exc() if setting.traceback else ''.join(_shown(error, path))


def _frames(error: BaseException) -> Iterator[traceback.FrameSummary]:
    """The lines of the script and of the libraries it called; what ran the script and what ran the kernel are left out."""
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith((_PACKAGE, '<frozen')) and os.path.basename(frame.filename) != 'runpy.py':
            yield frame


def _own(error: BaseException, path: str | None) -> Span | None:
    """The innermost line of the script."""
    wanted = os.path.abspath(path) if path else None
    frames = [f for f in _frames(error) if wanted is None or os.path.abspath(f.filename) == wanted] or list(_frames(error))
    return Span(frames[-1].filename, frames[-1].lineno or 0) if frames else None


def _placed(refusal: TileTwinError, path: str | None) -> TileTwinError:
    place = _own(refusal, path)
    return refusal.at(place) if place is not None else refusal


def _shown(error: BaseException, path: str | None) -> list[str]:
    if isinstance(error, SyntaxError):
        return traceback.format_exception_only(error)
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    inside = last.startswith(_PACKAGE) or any(part in last for part in (f'{os.sep}tilelang{os.sep}', f'{os.sep}tvm{os.sep}'))
    if inside and not isinstance(error, (AssertionError, builtins.KeyError)):
        place = _own(error, path)
        head = f'tiletwin: error the simulator cannot run this: {type(error).__name__}: {error}\n'
        where = [f'  --> {place}\n      | {place.excerpt()}\n'] if place else []
        return [head, *where, '  why: this use is not covered by the simulator; --traceback shows where it stopped\n']
    return ['Traceback (most recent call last):\n', *traceback.format_list(list(_frames(error))), *traceback.format_exception_only(error)]
