"""The table of published data sets: which files, their sums, and who serves them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fastmlp.data.errors import DataError


@dataclass(frozen=True)
class SourceFile:
    """One published file: its name at every mirror, SHA-256 in hexadecimal, and size in bytes."""

    name: str
    sha256: str
    n_bytes: int

    def check(self, data: bytes, where: str) -> None:
        """Raise a `DataError` naming `where` unless `data` is this file."""
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise DataError(f"{where}: SHA-256 is {found}, expected {self.sha256}")


@dataclass(frozen=True)
class PublishedDataset:
    """Four gzip IDX files, and base URLs (with their final /) in the order in which to ask them."""

    name: str
    x_train: SourceFile
    y_train: SourceFile
    x_test: SourceFile
    y_test: SourceFile
    mirrors: tuple[str, ...]

    @property
    def files(self) -> tuple[SourceFile, SourceFile, SourceFile, SourceFile]:
        """The four files in the order x_train, y_train, x_test, y_test."""
        return self.x_train, self.y_train, self.x_test, self.y_test


MNIST = PublishedDataset(
    name="mnist",
    x_train=SourceFile(
        "train-images-idx3-ubyte.gz",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        9912422,
    ),
    y_train=SourceFile(
        "train-labels-idx1-ubyte.gz",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        28881,
    ),
    x_test=SourceFile(
        "t10k-images-idx3-ubyte.gz",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        1648877,
    ),
    y_test=SourceFile(
        "t10k-labels-idx1-ubyte.gz",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        4542,
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)

FASHION_MNIST = PublishedDataset(
    name="fashion-mnist",
    x_train=SourceFile(
        "train-images-idx3-ubyte.gz",
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        26421880,
    ),
    y_train=SourceFile(
        "train-labels-idx1-ubyte.gz",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        29515,
    ),
    x_test=SourceFile(
        "t10k-images-idx3-ubyte.gz",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        4422102,
    ),
    y_test=SourceFile(
        "t10k-labels-idx1-ubyte.gz",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        5148,
    ),
    mirrors=(
        # Plain http is all that this publisher offers: the SHA-256 is what makes it safe.
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
)

PUBLISHED: Mapping[str, PublishedDataset] = MappingProxyType(
    {dataset.name: dataset for dataset in (MNIST, FASHION_MNIST)}
)
