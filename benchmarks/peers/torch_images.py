"""Random changes of MNIST images in PyTorch, with the settings of `fastmlp.Augmentation`."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import affine_grid, grid_sample

from benchmarks.peers.images import SIDE, gaussian


def changed(
    x: Any,
    shift: float = 0,
    rotation: float = 0,
    scale: float = 0,
    shear: float = 0,
    elastic_alpha: float = 0,
    elastic_sigma: float = 4,
) -> Any:
    """``x`` (n, 784), each image sheared, turned, scaled, shifted and displaced, bilinear.

    In the units of `grid_sample` the image's first and last pixels are at -1 and 1.
    """
    n, dtype, unit = len(x), x.dtype, 2 / (SIDE - 1)
    u = 2 * torch.rand(5, n, dtype=dtype) - 1
    theta, phi = torch.deg2rad(rotation * u[2]), torch.deg2rad(shear * u[3])
    cos, sin, tan, factor = theta.cos(), theta.sin(), phi.tan(), 1 + scale * u[4]
    M = torch.stack(
        [
            torch.stack([cos + tan * sin, sin - tan * cos], 1),
            torch.stack([-sin, cos], 1),
        ],
        1,
    ) / factor.view(n, 1, 1)
    s = torch.stack([u[0], u[1]], 1).unsqueeze(2) * (shift * unit)
    grid = affine_grid(torch.cat([M, -M @ s], 2), [n, 1, SIDE, SIDE], align_corners=True)
    if elastic_alpha:
        G = torch.from_numpy(gaussian(elastic_sigma)).to(dtype)
        field = G @ (2 * torch.rand(n, 2, SIDE, SIDE, dtype=dtype) - 1) @ G
        grid = grid + field.permute(0, 2, 3, 1) * (elastic_alpha * unit)
    return grid_sample(x.view(n, 1, SIDE, SIDE), grid, align_corners=True).view(n, -1)
