"""Image files as grey arrays, by Pillow."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.errors import DataError

MAX_PIXELS = 50_000_000
"""Most pixels that are decoded. Phones take 12 to 50 million. A PNG of 49 million in colours takes
230 MB, with alpha or without; JPEG is decoded at a fraction of its size, in 10 MB; libwebp has
copies of its own, 750 MB."""

SIDE = 1024
"""Larger images are made smaller by a whole factor, to at most this: twice what is prepared."""

STRIP = 64
"""Rows of the smaller image that are made at a time."""

SIGNATURES = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "WEBP": (b"RIFF",),
}
"""Formats that are read, as Pillow calls them, and what a file of each begins with: those that
browsers draw. Pillow knows forty more, one of which is a program (PostScript)."""

SOLID = 128
"""An alpha from which on a pixel counts as part of the picture."""


def is_image(start: bytes) -> bool:
    """Whether a file that begins so is one that `read_image` reads."""
    return any(start.startswith(SIGNATURES[kind]) for kind in SIGNATURES)


def read_image(file: BinaryIO, name: str) -> NDArray[np.uint8]:
    """Decode an image as grey values; of several, the first.

    One of more than `SIDE` pixels a side is made smaller by a whole factor, each pixel the mean of
    its area.

    It is turned upright as its EXIF data say. What is transparent becomes background: the grey that
    the border has or, where the border itself is transparent, the opposite of the ink.

    Parameters
    ----------
    file : binary file
        Seekable.
    name : str
        What errors call it.

    Returns
    -------
    ndarray (height, width) of uint8
        0 is black, 255 white.

    Raises
    ------
    DataError
        If it is none of `SIGNATURES`, is damaged or truncated, or has more than `MAX_PIXELS`: told
        by its header, before any pixel is decoded.
    ImportError
        Without Pillow.
    """
    Image = pillow(name)

    too_large = DataError(
        f"{name}: has more than {MAX_PIXELS:,} pixels, the most that are read: make it smaller"
    )
    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # of tags that do not matter
            image = Image.open(file, formats=tuple(SIGNATURES))
            with image:
                if image.width * image.height > MAX_PIXELS:
                    raise too_large
                image.draft(None, (SIDE // 2, SIDE // 2))  # JPEG is decoded smaller
                return _grey(_smaller(image))
    except bombs:
        raise too_large from None
    except Image.UnidentifiedImageError:
        raise DataError(f"{name}: is no image of {', '.join(SIGNATURES)}") from None
    except DataError:
        raise
    # Its decoders raise OSError, SyntaxError, struct.error, ... for damaged bytes.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name}: is a damaged image: {reason}") from None


def pillow(name: str) -> ModuleType:
    """``PIL.Image``; an ImportError that names what needs it, and the extra that has it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"{name}: images need Pillow, pip install 'fastmlp[images]': {error}"
        ) from None
    return Image


def _smaller(image: Any) -> Any:
    """An upright image of 8-bit grey, with alpha where it has some, of at most `SIDE` a side.

    By strips: of 49 million pixels with alpha, copies of the whole would take 1.1 GB more.
    """
    from PIL import Image, ImageOps

    factor = -(-max(image.size) // SIDE)
    width, height = image.size
    small = Image.new(
        "LA" if image.has_transparency_data else "L", (-(-width // factor), -(-height // factor))
    )
    for top in range(0, small.height, STRIP):
        strip = image.crop((0, top * factor, width, min((top + STRIP) * factor, height)))
        small.paste(_eight_bits(strip, small.mode).reduce(factor), (0, top))
    small.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return ImageOps.exif_transpose(small)


def _eight_bits(image: Any, mode: str) -> Any:
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        return Image.fromarray(np.clip(np.asarray(image) / 257, 0, 255).astype(np.uint8))
    return image.convert("RGBA").convert("LA") if mode == "LA" else image.convert("L")


def _grey(image: Any) -> NDArray[np.uint8]:
    if image.mode == "L":
        return np.asarray(image)
    both = np.asarray(image)
    grey, alpha = both[..., 0], both[..., 1]
    share = alpha / np.float32(255)
    solid = alpha >= SOLID
    edge = border(grey)[border(solid)]
    if 2 * len(edge) >= len(border(grey)):
        ground = float(np.median(edge))
    else:
        ink = float((grey * share).sum()) / max(float(share.sum()), 1.0)
        ground = 0.0 if ink > 127 else 255.0
    return np.rint(grey * share + ground * (1 - share)).astype(np.uint8)


def border(pixels: NDArray[Any]) -> NDArray[Any]:
    """The outermost pixels of an image, once around; (n,)."""
    inner = pixels[1:-1, [0, -1]].reshape(-1)
    return np.concatenate([pixels[0], pixels[-1] if len(pixels) > 1 else pixels[0], inner])
