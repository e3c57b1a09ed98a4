"""Seconds that timing without data takes, hazards included, on the shapes it has to hold."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Mapping

from tiletwin.backends.simulator import forget
from tiletwin.harness.registry import operators

TARGET_S = 60.0  # on 2 cores


@dataclass(frozen=True)
class Subject:
    operator: str
    sizes: Mapping[str, Any]
    chip: str = 'a3'


@dataclass(frozen=True)
class Row:
    name: str
    seconds: float  # measured, of the processor
    us: float  # modelled
    simulated: int
    events: int
    verdict: str
    target_s: float = TARGET_S


def subjects() -> list[Subject]:
    return [Subject('matmul.mkkn_gemm', {'M': 8192, 'N': 8192, 'K': 8192}), Subject('flash_attn.ws3', {'B': 1, 'H': 12, 'S': 32768, 'D': 128}),
            Subject('flash_attn.a3_4stage', {'Sq': 32768, 'D': 128, 'Sk': 32768})]


def measure(subject: Subject) -> Row:
    operator = operators()[subject.operator]
    forget()
    start = time.process_time()
    launches = operator.time(dict(subject.sizes), arch=subject.chip)
    seconds = time.process_time() - start
    levels = {launch.verdict.level for launch in launches}
    return Row(f'{subject.operator} ' + ' '.join(f'{k}={v}' for k, v in subject.sizes.items()), seconds, sum(launch.microseconds for launch in launches),
               sum(launch.simulated for launch in launches), sum(s.events for launch in launches for s in launch.streams),
               'clean' if levels == {'clean'} else ', '.join(sorted(levels)))
