"""Rules of kernel files that no run shows: what the modes promise, and what the Ascend fork's own parser takes."""
