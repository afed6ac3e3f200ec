"""Draw docs/augmentation.png: eight MNIST digits, each changed in every way.

    python docs/augmentation_picture.py

Needs MNIST and matplotlib. All is as in training: the random words of the first step, seed 0.
"""

from pathlib import Path

import matplotlib
import numpy as np

import fastmlp
from reference.augmentation import Augmentation, augment

KINDS = {
    "as they are": {},
    "shift=4": {"shift": 4},
    "rotation=30": {"rotation": 30},
    "scale=0.3": {"scale": 0.3},
    "shear=30": {"shear": 30},
    "elastic_alpha=34": {"elastic_alpha": 34},
    "erase_probability=1": {"erase_probability": 1, "fill": 0.5},
    "together": {
        "shift": 2,
        "rotation": 12,
        "scale": 0.12,
        "shear": 10,
        "elastic_alpha": 30,
        "erase_probability": 0.3,
    },
}


def main() -> None:
    """Write the picture beside this file."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    data = fastmlp.load_dataset("mnist")
    digits = data.x_train[[np.flatnonzero(data.y_train == digit)[0] for digit in range(8)]] / 255.0
    figure, axes = pyplot.subplots(len(KINDS), len(digits), figsize=(10.4, 8.4))
    for line, (name, settings) in zip(axes, KINDS.items(), strict=True):
        changed = augment(digits, Augmentation((28, 28), **settings), seed=0, step=1, first_row=0)
        for axis, image in zip(line, changed.reshape(-1, 28, 28), strict=True):
            axis.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11)
    figure.subplots_adjust(
        left=0.19, right=0.995, top=0.995, bottom=0.005, wspace=0.04, hspace=0.04
    )
    figure.savefig(Path(__file__).with_name("augmentation.png"), dpi=75)


if __name__ == "__main__":
    main()
