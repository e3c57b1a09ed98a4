"""`tiletwin run` on a script without kernels starts about as quickly as torch."""

import resource
import subprocess
import sys


def seconds(*command):
    """The least processor time of five runs."""
    best = 99.0
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def test_start_up_overhead_is_at_most_three_tenths_of_a_second(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text('import tilelang\nimport tilelang.language as T\nimport torch\n', encoding='utf-8')
    plain = tmp_path / 'plain.py'
    plain.write_text('import torch\n', encoding='utf-8')
    assert seconds('-m', 'tiletwin', 'run', str(script)) - seconds(str(plain)) <= 0.3
