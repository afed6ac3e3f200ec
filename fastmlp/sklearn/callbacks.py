"""scikit-learn's callback protocol, where its version has one (1.9 on)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastmlp.callbacks import Callback

__all__ = ["CallbackSupportMixin", "TaskPerEpoch", "with_callbacks"]

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: this scikit-learn has no callbacks."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Nothing: this scikit-learn has no callbacks."""
        return method


class TaskPerEpoch(Callback):
    """Tells the callbacks of `set_callbacks` of each epoch: a task below that of ``context``.

    Parameters
    ----------
    estimator : estimator
    context : sklearn.callback.CallbackContext
    data : dict
        X, y and metadata, which hooks may ask for.
    """

    def __init__(self, estimator: Any, context: Any, data: dict[str, Any]) -> None:
        self._estimator = estimator
        self._context = context
        self._data = data
        self._task: Any = None

    def on_epoch_begin(self, model: Any, epoch: int) -> None:
        """Begin the task."""
        self._task = self._context.subcontext(task_name="epoch")
        self._task.call_on_fit_task_begin(**self._arguments())

    def on_epoch_end(self, model: Any, record: Any) -> bool:
        """End the task; whether a callback asks to stop."""
        return bool(self._task.call_on_fit_task_end(**self._arguments()))

    def _arguments(self) -> dict[str, Any]:
        attributes = self._estimator._parameters_copied
        return {"estimator": self._estimator, "reconstruction_attributes": attributes, **self._data}
