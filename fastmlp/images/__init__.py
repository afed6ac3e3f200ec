"""Images brought to what a network saw: `read_image`, then `prepare` for an `ImageFormat`."""

from fastmlp.images.formats import FORMATS, ImageFormat, format_of
from fastmlp.images.preparation import Prepared, prepare
from fastmlp.images.reading import MAX_PIXELS, read_image

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "ImageFormat",
    "Prepared",
    "format_of",
    "prepare",
    "read_image",
]
"""What `fastmlp.predict` and the demo use."""
