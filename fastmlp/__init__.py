"""fastmlp: train multilayer perceptrons on a CPU, fast and reproducible to the bit.

>>> import fastmlp
>>> data = fastmlp.load_dataset("digits")
>>> model = fastmlp.MLP([64, 32, 10], seed=0)
>>> history = fastmlp.fit(model, data.x_train, data.y_train, epochs=20, batch_size=32)
>>> fastmlp.evaluate(model, data.x_test, data.y_test).accuracy > 0.9
True
"""

from fastmlp.augmentation import Augmentation
from fastmlp.callbacks import Callback
from fastmlp.data import DataError, Dataset, DataUnavailableError, load_dataset
from fastmlp.early_stopping import EarlyStopping
from fastmlp.history import Epoch, History
from fastmlp.model import MLP
from fastmlp.model_file import load
from fastmlp.optimizers import SGD, Adam
from fastmlp.training import Evaluation, Gradients, evaluate, fit, loss_and_gradients

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "Augmentation",
    "Callback",
    "DataError",
    "DataUnavailableError",
    "Dataset",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "Gradients",
    "History",
    "evaluate",
    "fit",
    "load",
    "load_dataset",
    "loss_and_gradients",
]
