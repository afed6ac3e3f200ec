"""How a test calls kernels: what the engine compiles without Python's wrappers needs a caller."""

import numba

jitted = numba.njit(nogil=True, error_model="numpy")
