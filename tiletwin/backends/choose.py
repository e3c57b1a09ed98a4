"""Which backend compiles and runs kernels. An explicit choice is kept or refused; nothing is exchanged for something else."""

from __future__ import annotations

import os

from ..errors import EnvironmentError_
from ..installed import FORK, tilelang_kind
from .ascend import AscendBackend
from .on_simulator import SimulatorBackend
from .protocol import RUN, Backend, require

BACKENDS: dict[str, type[Backend]] = {'simulator': SimulatorBackend, 'ascend': AscendBackend}


def backend(name: str | None = None) -> Backend:
    """The backend of this name, of TILETWIN_BACKEND, or the one the installed tilelang belongs to."""
    asked = name or os.environ.get('TILETWIN_BACKEND') or ''
    if not asked:
        return BACKENDS['ascend' if tilelang_kind() == FORK else 'simulator']()
    if asked not in BACKENDS:
        source = 'backend' if name else 'TILETWIN_BACKEND'
        raise EnvironmentError_(f'{source}={asked!r} is no backend', instead='one of ' + ', '.join(BACKENDS))
    return BACKENDS[asked]()


def simulated(what: str) -> None:
    """Refuses work that looks into a launch, which only the simulator lets one do, where kernels go elsewhere or nowhere."""
    found = backend()
    if found.name != 'simulator':
        raise EnvironmentError_(f'{what} needs the simulator, but kernels run on the backend {found.name!r} here',
                                why='; '.join(c.text for c in SimulatorBackend().capabilities() if c.name == RUN and not c.ok)
                                or 'findings and modelled times come from a simulated launch',
                                instead='an environment of its own: pip install "tiletwin[sim]"; on an NPU: tiletwin bench --backend ascend')
    require(found, RUN, what)
