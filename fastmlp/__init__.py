"""fastmlp: train multilayer perceptrons on a CPU, fast and reproducible to the bit.

>>> import fastmlp
>>> data = fastmlp.load_dataset("digits")
>>> model = fastmlp.MLP([64, 32, 10], seed=0)
>>> history = fastmlp.fit(model, data.x_train, data.y_train, epochs=20, batch_size=32)
>>> fastmlp.evaluate(model, data.x_test, data.y_test).accuracy > 0.9
True
"""

from fastmlp.augmentation import Augmentation
from fastmlp.averaging import EMA, SWA
from fastmlp.callbacks import Callback
from fastmlp.checkpoint import Checkpoint, load_checkpoint
from fastmlp.data import DataError, Dataset, DataUnavailableError, Rows, load_dataset, open_rows
from fastmlp.early_stopping import EarlyStopping
from fastmlp.evaluation import Evaluation, Gradients, evaluate, loss_and_gradients
from fastmlp.find_rate import RateCurve, find_learning_rate
from fastmlp.history import Epoch, History
from fastmlp.logs import JSONLinesLog, TensorBoard
from fastmlp.losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Poisson,
    SquaredError,
)
from fastmlp.model import MLP
from fastmlp.model_file import load
from fastmlp.optimizers import LBFGS, SGD, Adagrad, Adam, AdamW, Lion, NAdam, RMSprop
from fastmlp.ranks import RankError
from fastmlp.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseScaling,
    Linear,
    OneCycle,
    ReduceOnPlateau,
    Step,
)
from fastmlp.state import TrainingState
from fastmlp.trainer import Trainer, train_step
from fastmlp.training import fit

__version__ = "0.1.0"

__all__ = [
    "EMA",
    "LBFGS",
    "MLP",
    "SGD",
    "SWA",
    "AbsoluteError",
    "Adagrad",
    "Adam",
    "AdamW",
    "Augmentation",
    "BinaryCrossEntropy",
    "Callback",
    "Checkpoint",
    "Constant",
    "Cosine",
    "CrossEntropy",
    "DataError",
    "DataUnavailableError",
    "Dataset",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "Exponential",
    "Gradients",
    "History",
    "Huber",
    "InverseScaling",
    "JSONLinesLog",
    "Linear",
    "Lion",
    "NAdam",
    "OneCycle",
    "Poisson",
    "RMSprop",
    "RankError",
    "RateCurve",
    "ReduceOnPlateau",
    "Rows",
    "SquaredError",
    "Step",
    "TensorBoard",
    "Trainer",
    "TrainingState",
    "evaluate",
    "find_learning_rate",
    "fit",
    "load",
    "load_checkpoint",
    "load_dataset",
    "loss_and_gradients",
    "open_rows",
    "train_step",
]
