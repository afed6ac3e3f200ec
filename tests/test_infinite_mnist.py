"""The generated data set is a function of its images' numbers, and a run that was ended goes on."""

import numpy as np
import pytest

import fastmlp
from benchmarks import infinite_mnist
from fastmlp.data.dataset import make_dataset


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Forty images in place of MNIST, shards of a hundred."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 28, 28), dtype=np.uint8)
    y = np.arange(40) % 10
    data = make_dataset("tiny", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    monkeypatch.setattr(fastmlp, "load_dataset", lambda name: data)
    monkeypatch.setattr(infinite_mnist, "SHARD", 100)
    monkeypatch.setattr(infinite_mnist, "BLOCK", 30)
    return data


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_goes_on_with_what_is_missing(tmp_path):
    infinite_mnist.write(tmp_path / "one", 250, threads=1)
    whole = contents(tmp_path / "one")
    assert sorted(whole) == [
        f"{key}_{name}.npy"
        for key in "xy"
        for name in ("test-00000", "train-00000", "train-00001", "train-00002")
    ]
    (tmp_path / "one" / "x_train-00001.npy").unlink()
    (tmp_path / "one" / "y_train-00002.npy").write_bytes(b"half")
    (tmp_path / "one" / ".fastmlp-left").write_bytes(b"half")
    infinite_mnist.write(tmp_path / "one", 250, threads=3)
    assert contents(tmp_path / "one") == whole


def test_images_are_distorted_each_in_another_way(tmp_path, tiny):
    infinite_mnist.write(tmp_path, 250, threads=2)
    images = np.concatenate([np.load(tmp_path / f"x_train-{k:05}.npy") for k in range(3)])
    labels = np.concatenate([np.load(tmp_path / f"y_train-{k:05}.npy") for k in range(3)])
    np.testing.assert_array_equal(labels, tiny.y_train[np.arange(250) % 40])
    assert images.shape == (250, 28, 28)
    assert len(np.unique(images.reshape(250, -1), axis=0)) == 250
    alone = infinite_mnist.distorted(tiny.x_train[[7]], 207)
    np.testing.assert_array_equal(images[207].reshape(1, -1), alone)


def test_a_folder_of_more_images_or_a_disk_that_is_too_small_is_refused(tmp_path, monkeypatch):
    infinite_mnist.write(tmp_path, 250, threads=1)
    with pytest.raises(ValueError, match=r"holds [xy]_train-0000\d\.npy, of more images than 150"):
        infinite_mnist.write(tmp_path, 150, threads=1)
    monkeypatch.setattr(infinite_mnist, "HEADROOM", 2**62)
    with pytest.raises(OSError, match="GB are needed, and"):
        infinite_mnist.write(tmp_path, 350, threads=1)
    assert not (tmp_path / "x_train-00003.npy").exists()
