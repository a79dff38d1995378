"""The cost of turning one batch of features into another: entropic optimal transport."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from atk_latent.config import check_range

_FLOOR = 1e-6  # of norms, and of the sums inside the published logarithm


@dataclasses.dataclass(frozen=True)
class SinkhornSettings:
    """How a transport plan is found.

    Args:
        regularisation: float > 0, weight of the plan's entropy, in units of the cost.
        sinkhorn_iterations: int >= 1, at most.
        tolerance: float >= 0; iterations end when the row potentials change by less in all.
        stabilised: take log-sum-exp as it is, whose largest term is factored out. The
            published code adds 1e-6 to the sum instead, so that a pair of points is never
            infinitely far and the plan's mass is slightly below 1.

    Raises:
        InputError: for values out of range.
    """

    regularisation: float = 0.01
    sinkhorn_iterations: int = 100
    tolerance: float = 0.1
    stabilised: bool = False

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_range("regularisation", self.regularisation, 1e-6)
        check_range("sinkhorn_iterations", self.sinkhorn_iterations, 1)
        check_range("tolerance", self.tolerance, 0)


class Transport(NamedTuple):
    """A transport plan between n and m points.

    Args:
        plan: (n, m), what goes from row to column; rows sum to 1 / n, columns to 1 / m.
        u: (n,), row potentials. v: (m,), column potentials. iterations: int32 ().
    """

    plan: tf.Tensor
    u: tf.Tensor
    v: tf.Tensor
    iterations: tf.Tensor


def cosine_cost(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """C_ij = max(0, 1 - cos(a_i, b_j)), norms floored at 1e-6.

    Args:
        a: (n, d). b: (m, d), same dtype.

    Returns:
        (n, m).
    """
    return tf.nn.relu(1.0 - tf.matmul(_unit(a), _unit(b), transpose_b=True))


def sinkhorn(cost: tf.Tensor, settings: SinkhornSettings) -> Transport:
    """The plan T = exp((u_i + v_j - C_ij) / reg) between two uniform distributions.

    Gradients flow through every iteration, in the dtype of `cost`.

    Args:
        cost: (n, m), at least 0.
        settings: see `SinkhornSettings`.

    Reference: Cuturi, NeurIPS 2013; as the published code of Feature Scattering runs it
        (whose function is named after IPOT, which it does not use).
    """
    reg, lse = settings.regularisation, _log_sum_exp(settings.stabilised)
    rows, columns = (tf.cast(size, cost.dtype) for size in tf.unstack(tf.shape(cost)))
    log_mu, log_nu = -tf.math.log(rows), -tf.math.log(columns)

    def exponent(u: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        return (u[:, None] + v[None, :] - cost) / reg

    def iterate(
        index: tf.Tensor, u: tf.Tensor, v: tf.Tensor, _: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        raised = u + reg * (log_mu - lse(exponent(u, v)))
        v = v + reg * (log_nu - lse(tf.transpose(exponent(raised, v))))
        return index + 1, raised, v, tf.reduce_sum(tf.abs(raised - u))

    start = (
        tf.zeros((), tf.int32),
        tf.zeros_like(cost[:, 0]),
        tf.zeros_like(cost[0]),
        tf.constant(float("inf"), cost.dtype),
    )
    iterations, u, v, _ = tf.while_loop(
        lambda index, u, v, change: change >= settings.tolerance,
        iterate,
        start,
        parallel_iterations=1,
        maximum_iterations=settings.sinkhorn_iterations,
    )
    return Transport(tf.exp(exponent(u, v)), u, v, iterations)


def transport_cost(a: tf.Tensor, b: tf.Tensor, settings: SinkhornSettings) -> tf.Tensor:
    """Optimal-transport distance sum_ij T_ij C_ij, split over the points of `b`.

    Args:
        a: (n, d), features of one batch. b: (m, d), of the other.
        settings: see `SinkhornSettings`.

    Returns:
        (m,), what each point of `b` adds; the distance is their sum.

    Reference: Zhang and Wang, NeurIPS 2019.
    """
    cost = cosine_cost(a, b)
    return tf.reduce_sum(sinkhorn(cost, settings).plan * cost, axis=0)


def _unit(points: tf.Tensor) -> tf.Tensor:
    squares = tf.reduce_sum(tf.square(points), axis=-1, keepdims=True)
    return points / tf.sqrt(tf.maximum(squares, _FLOOR**2))


def _log_sum_exp(stabilised: bool) -> Callable[[tf.Tensor], tf.Tensor]:
    """Over the last axis."""
    if stabilised:
        return lambda values: tf.reduce_logsumexp(values, axis=-1)
    return lambda values: tf.math.log(tf.reduce_sum(tf.exp(values), axis=-1) + _FLOOR)
