"""Run a Python file as it stands and record every kernel it launches."""

from __future__ import annotations

import runpy
import sys
import traceback
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

from ..errors import TileTwinError
from ..sim.result import Launch


@dataclass
class ScriptRun:
    """What a script left behind. `failure` is how it ended when it did not end well."""

    path: str
    launches: list[Launch] = field(default_factory=list)
    refusal: TileTwinError | None = None  # a kernel or a call the dialect or the chip does not allow
    failure: str = ''  # traceback of the script's own error, or its exit message


@contextmanager
def _as_main(path: Path) -> Iterator[None]:
    """The process as the script would see it: its folder first on the path, its name as the only argument."""
    argv, search = sys.argv, list(sys.path)
    sys.argv, sys.path[:] = [str(path)], [str(path.parent), *sys.path]
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, search


def run_script(path: str | Path, chip: str | None = None) -> ScriptRun:
    """Execute a file as `__main__`. `chip` is the platform of kernels that do not choose one themselves."""
    from ..jit import observe
    from .registry import platform

    file = Path(path).resolve()
    record = ScriptRun(str(path))
    with _as_main(file), platform(chip) if chip else nullcontext(), observe(record.launches.append):
        try:
            runpy.run_path(str(file), run_name='__main__')
        except TileTwinError as refusal:
            record.refusal = refusal
        except SystemExit as end:
            if end.code not in (None, 0):
                record.failure = end.code if isinstance(end.code, str) else f'the script ended with exit status {end.code}'
        except Exception as error:
            record.failure = ''.join(_own_frames(error, file))
    return record


def _own_frames(error: Exception, file: Path) -> list[str]:
    """The traceback from the script's first line on; what ran the script is not the script's business."""
    frames = traceback.extract_tb(error.__traceback__)
    first = next((i for i, frame in enumerate(frames) if Path(frame.filename) == file), 0)
    return ['Traceback (most recent call last):\n', *traceback.format_list(frames[first:]), *traceback.format_exception_only(error)]
