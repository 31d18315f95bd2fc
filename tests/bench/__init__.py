"""The figures of ``docs/benchmarks.md``: ``make bench``, or ``python -m tests.bench NAME ...``."""
