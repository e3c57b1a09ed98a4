"""One thread per worker, a cache of its own, and the same hypothesis examples in every run."""

import atexit
import os
import shutil
import tempfile

# Two BLAS threads per worker on two cores stall each other; set before anything imports numpy or torch.
os.environ.setdefault('OMP_NUM_THREADS', '1')

# Programs kept by an earlier run would hide a front end that no longer builds them.
os.environ['TILETWIN_CACHE_DIR'] = _CACHE = tempfile.mkdtemp(prefix='tiletwin-')
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)

from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile('fixed', derandomize=True, database=None, deadline=None, max_examples=25, print_blob=False,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile('fixed')
