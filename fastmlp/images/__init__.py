"""Images brought to what a network saw: `read_image`, then `prepare` for an `ImageFormat`."""

from fastmlp.images.formats import FORMATS, ImageFormat, format_of
from fastmlp.images.preparation import Prepared, is_light_ground, prepare
from fastmlp.images.reading import MAX_PIXELS, read_image

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "ImageFormat",
    "Prepared",
    "format_of",
    "is_light_ground",
    "prepare",
    "read_image",
]
"""What `fastmlp.predict` and the demo use."""
