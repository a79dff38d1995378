"""What a compiled loop says of itself while it runs, and how Ctrl-C reaches it."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import tensorflow as tf

from atk_latent.progress import Progress

INTERVAL = 0.2  # seconds between two reports of a loop, about
_LISTEN = 0.1  # seconds between two looks for Ctrl-C
_FIRST_STRIDE, _LONGEST = 8, 10_000  # rounds between two reports: to begin with, at most

State = TypeVar("State")
Round = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]


class Report(NamedTuple):
    """Where a loop stands.

    Args:
        done: int32 (), steps of all runs together. total: of them, at most.
        standing: bool (m,), the images that the attack has not yet brought where it wants them;
            None where the loop does not know.
        rows: int32 (m,), their places in the batch; None is 0 to m - 1.
    """

    done: tf.Tensor
    total: int
    standing: tf.Tensor | None = None
    rows: tf.Tensor | None = None


class LoopWatch:
    """Hears of the steps of a graph's loops a few times a second, and ends them on Ctrl-C.

    A loop is run by `rounds`. In a graph of `compiled` it is cut into strides of about
    `INTERVAL` seconds, with a call into Python before each; in any other graph (a `train_step`) it
    stays as it is. The graph runs in a second thread, since Python hears of Ctrl-C between its
    own lines alone: the interrupted main thread has the next call end the graph.
    """

    def __init__(self) -> None:
        self._is_traced = self._is_stopped = False
        self._progress: Progress | None = None
        self._count = 0
        self._latest: tuple[int, int] | None = None
        self._stride, self._asked = _FIRST_STRIDE, 0.0
        self._told = 0.0

    def __getstate__(self) -> dict[str, object]:
        """Nothing of a run is copied."""
        return {}

    def __setstate__(self, state: dict[str, object]) -> None:
        """A watch that has heard nothing."""
        self.__init__()  # type: ignore[misc]

    def compiled(
        self, body: Callable[..., Any], signature: Sequence[tf.TensorSpec]
    ) -> Callable[..., Any]:
        """`body` as one graph that is watched.

        Args:
            body: tensors to tensors. signature: of its arguments.
        """

        @tf.function(autograph=False, input_signature=signature)
        def function(*arguments: tf.Tensor) -> Any:
            before, self._is_traced = self._is_traced, True
            try:
                return body(*arguments)
            finally:
                self._is_traced = before

        function.get_concrete_function()  # traced here: what Keras is set to belongs to a thread
        return functools.partial(self._run, function)

    def rounds(
        self,
        body: Round[State],
        span: tuple[tf.Tensor | int, tf.Tensor | int],
        state: State,
        report: Callable[[tf.Tensor, State], Report],
        going: Callable[[State], tf.Tensor] | None = None,
    ) -> State:
        """`state` after the rounds of ``index, state = body(index, state)``, inside a graph.

        A single round is put into the graph as it is. Rounds are not run ahead in parallel,
        which would cost half as much again.

        Args:
            body: one round. span: the first index and the one behind the last.
            report: (index, state) before a round -> where the loop stands.
            going: of a state, whether there is another round; None goes on to the end.
        """
        first, end = span
        if isinstance(first, int) and isinstance(end, int) and end - first == 1 and going is None:
            return body(tf.constant(first), state)[1]

        def stretch(start: tf.Tensor | int, stop: tf.Tensor | int, state: State) -> Any:
            return tf.while_loop(
                lambda index, now: (index < stop) & (going(now) if going else True),
                body,
                (start, state),
                parallel_iterations=1,
            )

        if not self._is_traced:
            return cast(State, stretch(first, end, state)[1])

        def stride(index: tf.Tensor, state: State) -> Any:
            return stretch(index, tf.minimum(index + self._ask(report(index, state)), end), state)

        whole = tf.while_loop(
            lambda index, now: (index < end) & (going(now) if going else True),
            stride,
            (first, state),
            parallel_iterations=1,
        )
        return cast(State, whole[1])

    def _ask(self, report: Report) -> tf.Tensor:
        """Reports, and asks how many rounds there are until the next report, int32 ()."""
        knows = report.standing is not None
        mask = report.standing if knows else tf.zeros([0], tf.bool)
        rows = tf.range(tf.size(mask)) if report.rows is None else report.rows
        heard = [tf.cast(report.done, tf.int32), tf.constant(report.total), mask, rows]
        rounds = tf.numpy_function(functools.partial(self._hear, knows), heard, tf.int32)
        return tf.ensure_shape(rounds, [])

    def _hear(
        self, knows: bool, done: int, total: int, mask: np.ndarray, rows: np.ndarray
    ) -> np.int32:
        """One report, from TensorFlow's thread."""
        if self._is_stopped:
            raise InterruptedError("the attack was interrupted")
        now = time.monotonic()
        pace = max(now - self._asked, 1e-6) / INTERVAL  # a stride may have ended early: no harm
        self._stride = int(np.clip(self._stride / np.clip(pace, 0.25, 8.0), 1, _LONGEST))
        self._asked = now
        if self._progress is not None and now >= self._told + INTERVAL:
            self._told, self._latest = now, (int(done), int(total))
            left = np.unique(rows[mask])
            logs = {"standing": float((left < self._count).sum())} if knows else None
            self._progress("steps", min(int(done), int(total)), int(total), logs)
        return np.int32(self._stride)

    @contextlib.contextmanager
    def heard(self, progress: Progress | None, count: int) -> Iterator[None]:
        """Reports of a batch go to `progress`; only its first `count` images are counted.

        A loop that was reported and ends early is told to be complete.
        """
        self._begin(progress, count)
        try:
            yield
            if progress is not None and self._latest is not None:
                progress("steps", self._latest[1], self._latest[1])
        finally:
            self._progress = None

    def _begin(self, progress: Progress | None, count: int) -> None:
        self._progress, self._count, self._latest = progress, count, None
        self._stride, self._asked = _FIRST_STRIDE, time.monotonic()
        self._told = self._asked

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
            while thread.is_alive():
                thread.join(_LISTEN)  # a signal that another thread takes does not end a wait
        except KeyboardInterrupt:
            self._is_stopped = True
            thread.join()
            raise
        finally:
            self._is_stopped = False
        if failed:
            raise failed[0]
        return result[0]
