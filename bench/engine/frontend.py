"""From kernel source to Program: a first build, a build in a warm process, a second process with the disk cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

# Builds the flash attention kernel several times in one process, the first shape twice; prints milliseconds per build. Imports are not
# part of a build.
_SCRIPT = '''
import json, sys, time
import tiletwin
from tiletwin import language as T
from tiletwin.language import program_of
import ops.expert.flash_attn as F
factory = F.flash_attn_ws3.func
T.prim_func  # what a kernel file has loaded by the time it builds
times = []
for S in (2048, 2048, 1024, 512, 256, 2048 + 128, 1024 + 128, 512 + 128):
    start = time.perf_counter()
    program_of(factory(1, 8, S, 128, 0.125, 128, 24))
    times.append((time.perf_counter() - start) * 1e3)
print(json.dumps(times))
'''

# The developer form with every pass: source to the Program that runs. The second figure is the passes alone.
_LOWERED = '''
import json, sys, time
import tiletwin
from tiletwin import language as T
import ops.developer.flash_attn as F
T.prim_func
import tiletwin.passes.pipeline
start = time.perf_counter()
kernel = F.flash_attn_ws3(1, 8, 2048, 128, 0.125)
whole = time.perf_counter() - start
start = time.perf_counter()
kernel.lowering.lower()
print(json.dumps([whole * 1e3, (time.perf_counter() - start) * 1e3]))
'''


@dataclass(frozen=True, slots=True)
class Build:
    name: str
    target_ms: float
    ms: float


def _process(cache: str, script: str = _SCRIPT) -> list[float]:
    env = {**os.environ, 'TILETWIN_CACHE_DIR': cache}
    done = subprocess.run([sys.executable, '-c', script], env=env, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(rounds: int) -> list[Build]:
    cold, same, warm, cached, lowered, passes = [], [], [], [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            first = _process(cache)
            cold.append(first[0])
            same.append(first[1])
            warm += first[2:]
            cached.append(_process(cache)[0])
        with tempfile.TemporaryDirectory() as cache:
            both = _process(cache, _LOWERED)
            lowered.append(both[0])
            passes.append(both[1])
    middle = [sorted(times)[len(times) // 2] for times in (cold, same, warm, cached, lowered, passes)]
    return [
        Build('flash attention source to Program, first build', 500.0, middle[0]),
        Build('same source and shape again, same process', 20.0, middle[1]),
        Build('same source, other shape, same process', 20.0, middle[2]),
        Build('second process, disk cache', 20.0, middle[3]),
        Build('developer flash attention source to final Program, first build', 1000.0, middle[4]),
        Build('its passes alone', 1000.0, middle[5]),
    ]
