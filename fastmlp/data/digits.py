"""Real digits without a network: the 8x8 images in scikit-learn's wheel."""

import numpy as np

from fastmlp.data.dataset import Dataset, make_dataset

TEST_EVERY = 5


def load_digits() -> Dataset:
    """Return scikit-learn's 1797 digits as float32 x / 16 in [0, 1]; every fifth is for the test.

    Images 0, 5, 10, ... are the 360 of the test set, the other 1437 the training set: the same
    split each time, with the writers of the source (UCI, Optical Recognition of Handwritten
    Digits) in both parts.
    """
    from sklearn.datasets import load_digits as load_sklearn_digits

    bunch = load_sklearn_digits()
    # 0 to 16 over 16 is exact in float32.
    images = (bunch.images / 16).astype(np.float32)
    labels = bunch.target
    test = np.arange(len(labels)) % TEST_EVERY == 0
    return make_dataset(
        "digits",
        x_train=images[~test],
        y_train=labels[~test],
        x_test=images[test],
        y_test=labels[test],
    )
