"""Kernels: SIMD primitives, the register tile, and the elementwise maths around it."""
