"""`fit`: checks its arguments before anything is changed, then lets `run` train."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from fastmlp.arguments import (
    check_batch_size,
    check_kind,
    check_limit,
    check_measured,
    check_optimizer,
    check_schedule,
    check_target,
    labelled,
    split,
)
from fastmlp.augmentation import Augmentation
from fastmlp.averaging import Averaging
from fastmlp.callbacks import Callback, check_callbacks
from fastmlp.checks import check_flag, check_integer, check_number
from fastmlp.data.rows import Rows
from fastmlp.history import History
from fastmlp.model import MLP
from fastmlp.optimizers import Optimizer
from fastmlp.run import Run
from fastmlp.schedules import Schedule
from fastmlp.state import TrainingState
from fastmlp.threads import are_free, in_another_thread, threads_for


def fit(
    model: MLP,
    x: ArrayLike | Rows,
    y: ArrayLike,
    *,
    epochs: int = 10,
    batch_size: int | str = 128,
    optimizer: Optimizer | None = None,
    schedule: Schedule | None = None,
    seed: int = 0,
    shuffle: bool = True,
    sample_weight: ArrayLike | None = None,
    class_weight: Any = None,
    validation_data: tuple[ArrayLike | Rows, ArrayLike] | None = None,
    validation_fraction: float = 0.0,
    metrics: Sequence[str] = (),
    clip_norm: float | None = None,
    clip_value: float | None = None,
    max_norm: float | None = None,
    averaging: Averaging | None = None,
    augmentation: Augmentation | None = None,
    max_seconds: float | None = None,
    target_accuracy: float | None = None,
    callbacks: Sequence[Callback] = (),
    resume: TrainingState | None = None,
    threads: int | None = None,
    comm: Any = None,
) -> History:
    """Train ``model`` in place by mini-batch gradient descent on its loss.

    Parameters
    ----------
    model : MLP
        Changed in place.
    x : array-like, scipy sparse matrix, DataFrame or Rows, (n_samples, n_features)
        uint8 stays uint8 and is scaled as the model says; other numbers are cast to its dtype.
        `open_rows`, or a memory map, of more rows than its window stays on disk: it is read window
        by window, see there.
    y : array-like
        What the model's loss asks for. cross_entropy: integer labels 0 ... n_classes - 1,
        (n_samples,), or rows of probabilities (n_samples, n_classes); binary_cross_entropy: 0, 1 or
        between; others: numbers; (n_samples, n_outputs), or (n_samples,) if there is one output.
    epochs : int, default 10
        Passes over the data, 0 or more; those of ``resume`` are part of them.
    batch_size : int or "full", default 128
        Samples in a step. The last batch of an epoch may be smaller. "full", or a size of
        n_samples and more, is full-batch gradient descent; `LBFGS` always is.
    optimizer : Optimizer, default SGD()
        The update, for example ``Adam(lr=0.001)``; its state starts anew.
    schedule : Schedule, optional
        How the learning rate changes; constant without.
    seed : int, default 0
        Of the order of samples: ``default_rng((seed, epoch)).permutation(n_samples)`` for epochs
        1, 2, ...; of rows on disk as `fastmlp.windows` says; of dropout, augmentation and what is
        held out.
    shuffle : bool, default True
        False keeps the samples in their order, as does full-batch descent.
    sample_weight : array-like (n_samples,), optional
        Factor on each sample's loss, 0 or more. The mean divides by their sum; validation is not
        weighted.
    class_weight : dict, array-like (n_classes,) or "balanced", optional
        Factor on the loss of each class, as `torch.nn.CrossEntropyLoss`'s weight; on that of each
        output for a binary loss of several; "balanced": n_samples / (n_classes * count), counted
        in what is trained on.
    validation_data : (x, y), optional
        Evaluated after each epoch.
    validation_fraction : float, default 0
        Share of the samples, of each class, that is held out and evaluated after each epoch
        instead, below 1.
    metrics : sequence of str, default none
        Measured on the validation data after each epoch, beside loss and accuracy: "top_5" (or
        another k), "f1", "precision", "recall", "r2", "mae", "mse".
    clip_norm : float, optional
        Largest norm of the whole gradient; as `torch.nn.utils.clip_grad_norm_`.
    clip_value : float, optional
        Largest size of an item of the gradient.
    max_norm : float, optional
        Largest norm of the weights into a unit, to which longer ones are scaled after each step
        (Srivastava et al., 2014).
    averaging : EMA or SWA, optional
        The model is validated, and ends, with averaged parameters.
    augmentation : Augmentation, optional
        Random changes of the images, other ones in each step.
    max_seconds : float, optional
        Ends with the first epoch after which so much time has gone by since training began.
    target_accuracy : float, optional
        Ends with the first epoch whose validation accuracy reaches it.
    callbacks : sequence of Callback
        Called in turn; with ``comm`` on rank 0 alone, whose parameters and answers are then those
        of all.
    resume : TrainingState, optional
        Goes on from there (``history.state`` of an earlier call, or of a checkpoint) with the same
        bits as a run that never stopped, given the same samples and arguments. The model's
        parameters become those of the state. What had ended by early stopping or at
        ``target_accuracy`` ends at once.
    threads : int, optional
        1 to 256; more than there are cores is allowed, and slower. Default:
        ``FASTMLP_NUM_THREADS``, or all physical cores that the process may use, or as many of these
        as the first steps show to be fastest. The result is the same bits for any number.

    comm : mpi4py.MPI.Intracomm, optional
        Train on all its processes, each of which calls this with its share of ``x``, ``y``,
        ``sample_weight`` and ``validation_data`` and otherwise the same arguments. The result, on
        all of them, is that of one process with the shares of ranks 0, 1, ... as one data set, to
        rounding. ``model`` and ``resume`` are rank 0's.

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or a value that is not allowed; nothing is changed.
    OSError, DataError
        If x is on disk and cannot be read any more, or holds NaN or infinity.
    FloatingPointError
        If the loss becomes NaN or infinite; the model keeps the parameters from before that step.
    KeyboardInterrupt
        On Ctrl-C, after the step at hand; the model keeps what it has learned.
    fastmlp.ranks.RankError
        With ``comm``, if another rank has refused its arguments, or failed between two steps.
    """

    def make(kind: type[Run], **parts: Any) -> Run:
        rows, validation = parts["rows"], parts["validation"]
        limit = None if max_seconds is None else check_number("max_seconds", max_seconds, 0)
        return kind(
            model=model,
            **parts,
            epochs=check_integer("epochs", epochs, 0),
            batch_size=check_batch_size(batch_size, len(rows)),
            optimizer=check_optimizer(optimizer, model),
            schedule=check_schedule(schedule),
            seed=check_integer("seed", seed, 0),
            shuffle=check_flag("shuffle", shuffle),
            metrics=check_measured(metrics, model, validation is not None),
            averaging=check_kind("averaging", averaging, Averaging),
            augmentation=check_kind("augmentation", augmentation, Augmentation),
            max_seconds=limit,
            target_accuracy=check_target(target_accuracy, model, validation is not None),
            callbacks=check_callbacks(callbacks),
            clip_norm=check_limit("clip_norm", clip_norm, model.dtype),
            clip_value=check_limit("clip_value", clip_value, model.dtype),
            max_norm=check_limit("max_norm", max_norm, model.dtype),
        )

    if comm is not None:
        from fastmlp.distributed import Given, fit_on_ranks

        data = x, y, sample_weight, class_weight, validation_data, validation_fraction
        return fit_on_ranks(comm, Given(model, *data, seed), make, resume, threads, complete)
    samples, targets = labelled(model, x, y, sample_weight, in_windows=True)
    seed = check_integer("seed", seed, 0)
    rows, validation = split(model, samples, targets, validation_data, validation_fraction, seed)
    if class_weight is not None:
        weights = sample_weight, class_weight
        targets = labelled(model, x, y, *weights, counted=rows, in_windows=True)[1]
    run = make(Run, samples=samples, targets=targets, rows=rows, validation=validation)
    run.fewer_threads = are_free(threads)
    return complete(run, resume, threads_for(threads, len(rows) * len(model.parameters)))


def complete(run: Run, resume: TrainingState | None, threads: int) -> History:
    """Check what ``run`` cannot do, and let it."""
    try:
        run.check(resume)
        start = time.perf_counter()
        with in_another_thread(lambda: run.compiled(threads)) as engine:
            run.history.compile_seconds = time.perf_counter() - start
            run.begin(engine, resume)
            try:
                run.train()
                run.history.state = run.state()
            finally:
                run.finish()
        run.end()
    finally:
        for callback in run.callbacks:
            if hasattr(callback, "release"):
                callback.release()
    return run.history
