"""Random changes of MNIST images in JAX, with the settings of `fastmlp.Augmentation`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.peers.images import SIDE, gaussian


def changed(
    key: Any,
    x: Any,
    shift: float = 0,
    rotation: float = 0,
    scale: float = 0,
    shear: float = 0,
    elastic_alpha: float = 0,
    elastic_sigma: float = 4,
) -> Any:
    """``x`` (n, 784), each image sheared, turned, scaled, shifted and displaced, bilinear."""
    n, dtype = len(x), x.dtype
    few, many = jax.random.split(key)
    u = jax.random.uniform(few, (5, n), dtype, -1, 1)
    theta, phi, factor = (
        jnp.deg2rad(rotation * u[2]),
        jnp.deg2rad(shear * u[3]),
        1 + scale * u[4],
    )
    cos, sin, tan = jnp.cos(theta), jnp.sin(theta), jnp.tan(phi)
    c = (SIDE - 1) / 2
    rows, columns = jnp.divmod(jnp.arange(SIDE * SIDE), SIDE)
    px = columns - c - shift * u[0][:, None]
    py = rows - c - shift * u[1][:, None]
    qx = cos[:, None] * px + sin[:, None] * py
    qy = cos[:, None] * py - sin[:, None] * px
    sx = (qx - tan[:, None] * qy) / factor[:, None] + c
    sy = qy / factor[:, None] + c
    if elastic_alpha:
        G = jnp.asarray(gaussian(elastic_sigma), dtype)
        field = jax.random.uniform(many, (n, 2, SIDE, SIDE), dtype, -1, 1)
        field = (elastic_alpha * (G @ field @ G)).reshape(n, 2, -1)
        sx, sy = sx + field[:, 0], sy + field[:, 1]
    return _bilinear(x, sx, sy)


def _bilinear(x: Any, sx: Any, sy: Any) -> Any:
    """The images at (sx, sy), 0 outside: a margin of pixels is 0, and places are clipped to it."""
    wide = SIDE + 3
    padded = jnp.pad(x.reshape(-1, SIDE, SIDE), ((0, 0), (1, 2), (1, 2))).reshape(len(x), -1)
    sx, sy = jnp.clip(sx, -1, SIDE) + 1, jnp.clip(sy, -1, SIDE) + 1
    x0, y0 = sx.astype(jnp.int32), sy.astype(jnp.int32)
    a, b = sx - x0, sy - y0
    place = y0 * wide + x0

    def pixels(offset: int) -> Any:
        return jnp.take_along_axis(padded, place + offset, axis=1, mode="promise_in_bounds")

    top = pixels(0) + a * (pixels(1) - pixels(0))
    bottom = pixels(wide) + a * (pixels(wide + 1) - pixels(wide))
    return top + b * (bottom - top)
