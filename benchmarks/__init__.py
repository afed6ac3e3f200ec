"""Benchmarks: asv/ (tracked over commits), bench_*.py (pytest-benchmark), compare.py (ratios)."""
