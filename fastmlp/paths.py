"""Where fastmlp keeps what it can make again: data sets and compiled kernels."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return the user's cache folder of fastmlp: ``FASTMLP_CACHE_DIR``, or the platform's own."""
    chosen = os.environ.get("FASTMLP_CACHE_DIR")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("fastmlp", appauthor=False)
