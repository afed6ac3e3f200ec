"""Benchmarks of the installed package, tracked from commit to commit by asv."""
