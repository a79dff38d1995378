"""What a compiled loop says of itself while it runs, and how Ctrl-C reaches it."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from atk_latent.progress import Progress

INTERVAL = 0.2  # seconds between two reports of a loop, at least


class LoopWatch:
    """Hears of the steps of a graph's loops a few times a second, and ends them on Ctrl-C.

    A loop calls `tell` at every step. In a graph of `compiled` this looks at the clock and now
    and then calls back into Python; in any other graph (a `train_step`) it adds nothing. The
    graph runs in a second thread, since Python hears of Ctrl-C between its own lines alone: the
    interrupted main thread has the next callback end the graph.
    """

    def __init__(self) -> None:
        self._last: tf.Variable | None = None  # when the graph called back
        self._is_traced, self._is_stopped = False, False
        self._progress: Progress | None = None
        self._count = 0
        self._latest: tuple[int, int] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Nothing of a run is copied."""
        return {}

    def __setstate__(self, state: dict[str, object]) -> None:
        """A watch that has heard nothing."""
        self.__init__()  # type: ignore[misc]

    def compiled(
        self, body: Callable[..., Any], signature: Sequence[tf.TensorSpec]
    ) -> Callable[..., Any]:
        """`body` as one graph that is watched; it ends within a step or so of Ctrl-C.

        Args:
            body: tensors to tensors. signature: of its arguments.
        """
        if self._last is None:
            with tf.device("CPU"):
                self._last = tf.Variable(0.0, dtype=tf.float64, trainable=False)

        @tf.function(autograph=False, input_signature=signature)
        def function(*arguments: tf.Tensor) -> Any:
            before, self._is_traced = self._is_traced, True
            try:
                return body(*arguments)
            finally:
                self._is_traced = before

        function.get_concrete_function()  # traced here: what Keras is set to belongs to a thread
        return functools.partial(self._run, function)

    def tell(
        self,
        done: tf.Tensor | int,
        total: int,
        standing: Callable[[], tf.Tensor] | None = None,
        rows: tf.Tensor | None = None,
    ) -> None:
        """Reports a step of a loop; runs inside a graph.

        Args:
            done, total: int32 (), steps of all runs together, `total` at most.
            standing: gives bool (m,), the images that the attack has not yet brought where it
                wants them; asked only where a report is due.
            rows: int32 (m,), their places in the batch; None is 0 to m - 1.
        """
        last = self._last
        if not self._is_traced or last is None:
            return
        now = tf.timestamp()

        def report() -> tf.Tensor:
            mask = standing() if standing else tf.zeros([0], tf.bool)
            places = tf.range(tf.size(mask)) if rows is None else rows
            steps = tf.cast(done, tf.int32)
            heard = [steps, tf.constant(total), tf.constant(bool(standing)), mask, places]
            with tf.control_dependencies([tf.numpy_function(self._hear, heard, tf.bool)]):
                return tf.identity(last.assign(now))

        tf.cond(now - last.read_value() >= INTERVAL, report, lambda: last.read_value())

    def _hear(
        self, done: int, total: int, counts: bool, mask: np.ndarray, places: np.ndarray
    ) -> np.bool_:
        """One report, from TensorFlow's thread."""
        if self._is_stopped:
            raise InterruptedError("the attack was interrupted")
        if self._progress is not None:
            self._latest = (int(done), int(total))
            left = np.unique(places[mask])
            logs = {"standing": float((left < self._count).sum())} if counts else None
            self._progress("steps", min(int(done), int(total)), int(total), logs)
        return np.bool_(True)

    @contextlib.contextmanager
    def heard(self, progress: Progress | None, count: int) -> Iterator[None]:
        """Reports of a batch go to `progress`; only its first `count` images are counted.

        A loop that was reported and ends early is told to be complete.
        """
        self._progress, self._count, self._latest = progress, count, None
        try:
            yield
            if progress is not None and self._latest is not None:
                progress("steps", self._latest[1], self._latest[1])
        finally:
            self._progress = None

    def _run(self, function: Callable[..., Any], *arguments: object) -> Any:
        """``function(*arguments)`` in a thread of its own."""
        if threading.current_thread() is not threading.main_thread():
            return function(*arguments)
        result: list[Any] = []
        failed: list[BaseException] = []

        def compute() -> None:
            try:
                result.append(function(*arguments))
            except BaseException as error:  # raised again in the main thread
                failed.append(error)

        thread = threading.Thread(target=compute, daemon=True)
        thread.start()
        try:
            thread.join()
        except KeyboardInterrupt:
            self._is_stopped = True
            thread.join()
            raise
        finally:
            self._is_stopped = False
        if failed:
            raise failed[0]
        return result[0]
