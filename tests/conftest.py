"""One thread per worker, and the same hypothesis examples in every run."""

import os

# Two BLAS threads per worker on two cores stall each other; set before anything imports numpy or torch.
os.environ.setdefault('OMP_NUM_THREADS', '1')

from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile('fixed', derandomize=True, database=None, deadline=None, max_examples=25, print_blob=False,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile('fixed')
