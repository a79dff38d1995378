"""The checks of an audit: each looks for one sign that attacks had no fair chance.

A new check is a function from a `Subject` to a `Check`, and its line in `CHECKS`.

Reference: Athalye, Carlini and Wagner, ICML 2018, section 3.1; Carlini et al., On Evaluating
Adversarial Robustness, 2019; Croce and Hein, ICML 2020 (AutoAttack's own warnings).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from atk_latent.art_bridge.estimator import CompiledKerasClassifier
from atk_latent.inference.imt import BACKWARDS
from atk_latent.results.audit import Check

TOLERANCE = 0.02  # of accuracy: less is noise on the few hundred images of an audit
ZERO_SHARE = 0.05  # of images whose gradient may be exactly 0
UNBOUNDED_ACCURACY = 0.05  # what may be left when an attack may repaint the whole image
LEAST_COSINE = 0.2  # between gradients a tenth of eps apart; a PGD-trained LeNet has 0.7
EXPLODING_SHARE = 0.05  # of images whose gradient may promise far more than it brings
EMPTY_PROMISE = 10  # times the rise of the loss: a gradient that promises more explodes
ROUNDING = 1e-3  # of the loss: promises and rises below it are noise
OTHER_LOSS_GAIN = 0.1  # of accuracy: on MNIST Feature Scattering has 12 points, MART, the next, 2
NEARBY = 0.1  # of eps: the small step of the checks that compare two gradients, or two losses


Measure = Callable[[str], float]


@dataclass(frozen=True)
class Subject:
    """What is audited: a classifier, images, a radius, and a memory of attacks already run.

    Args:
        target: the estimator of what is deployed, a defence at inference included.
        x: float32 (n, H, W, C) in [0, 1]. y: int64 (n,).
        eps: Linf radius in [0, 1] pixel units.
        accuracy: attack spec -> robust accuracy on `x`; runs the attack.
        transfer: the same, crafted on a surrogate; None where there is none.
        behind: the same, crafted on the bare classifier and scored behind its defence; None
            where the classifier is deployed bare.
        seed: of everything drawn.
    """

    target: CompiledKerasClassifier
    x: np.ndarray
    y: np.ndarray
    eps: float
    accuracy: Measure
    transfer: Measure | None = None
    behind: Measure | None = None
    seed: int = 0


CheckFunction = Callable[[Subject], "Check | None"]  # None: it cannot be asked here


def _pgd(eps: float, steps: int = 20, restarts: int = 1) -> str:
    return f"pgd:eps={min(eps, 1.0):.8g},steps={steps},restarts={restarts}"


def _losses(subject: Subject, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Plain cross-entropy, float64 (n,), and its gradient (n, H * W * C), as attacks see it."""
    model, loss = subject.target.model, keras.losses.sparse_categorical_crossentropy
    values, slopes = [], []
    for start in range(0, len(x), subject.target.batch_size):
        rows = slice(start, start + subject.target.batch_size)
        images, labels = tf.constant(x[rows]), tf.constant(subject.y[rows])
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = tf.cast(model(images, training=False), tf.float32)
            each = loss(labels, logits, from_logits=True)
        slope = tape.gradient(each, images, unconnected_gradients="zero")
        values.append(np.asarray(each, np.float64))
        slopes.append(np.asarray(slope, np.float64).reshape(len(images), -1))
    return np.concatenate(values), np.concatenate(slopes)


def zero_gradients(subject: Subject) -> Check:
    """Images at which the loss has no slope."""
    _, gradients = _losses(subject, subject.x)
    zero = float(np.mean(~np.any(gradients != 0, axis=1)))
    return Check(
        name="zero-gradients",
        why="An attack that follows gradients stands still where there are none.",
        measured={"zero_share": zero, "most": ZERO_SHARE},
        passed=zero <= ZERO_SHARE,
        verdict=f"The gradient is exactly 0 on {zero:.1%} of the images.",
    )


def exploding_gradients(subject: Subject) -> Check:
    """Images at which a small step along the gradient brings far less than it promises.

    The loss should rise by about the gradient times the step; a gradient that is no number
    promises nothing that can be kept.
    """
    loss, gradients = _losses(subject, subject.x)
    broken = ~np.isfinite(gradients).all(axis=1)
    way = np.sign(np.nan_to_num(gradients)).reshape(subject.x.shape)
    near = np.clip(subject.x + NEARBY * subject.eps * way, 0, 1).astype(np.float32)
    step = (near.astype(np.float64) - subject.x).reshape(len(near), -1)
    promised = np.sum(np.nan_to_num(gradients) * step, axis=1)
    risen = np.nan_to_num(_losses(subject, near)[0] - loss)
    share = float(np.mean(broken | (promised > EMPTY_PROMISE * np.maximum(risen, 0) + ROUNDING)))
    return Check(
        name="exploding-gradients",
        why="A gradient that is no number, or far steeper than the loss, leads an attack astray.",
        measured={
            "share": share,
            "not_finite_share": float(np.mean(broken)),
            "most": EXPLODING_SHARE,
            "times": EMPTY_PROMISE,
        },
        passed=share <= EXPLODING_SHARE,
        verdict=(
            f"On {share:.1%} of the images a step of {NEARBY:g} eps brings less than one part in "
            f"{EMPTY_PROMISE} of the loss that its gradient promises."
        ),
    )


def randomised_output(subject: Subject) -> Check:
    """Whether the same image gets the same logits twice."""
    first, second = (subject.target.predict(subject.x) for _ in range(2))
    scale = max(float(np.abs(first).max()), 1e-12)
    apart = float(np.abs(first - second).max()) / scale
    return Check(
        name="randomised-output",
        why="A random classifier needs attacks that average over its draws (setting `eot`).",
        measured={"largest_relative_difference": apart, "most": 1e-4},
        passed=apart <= 1e-4,
        verdict=f"Two passes over the same images differ by {apart:.2g} of the largest logit.",
    )


def rough_loss(subject: Subject) -> Check:
    """Whether the gradient still points the same way a small step further."""
    noise = np.random.default_rng(subject.seed).uniform(-1.0, 1.0, subject.x.shape)
    near = np.clip(subject.x + NEARBY * subject.eps * noise, 0, 1).astype(np.float32)
    here, there = (np.nan_to_num(_losses(subject, x)[1]) for x in (subject.x, near))
    lengths = np.linalg.norm(here, axis=1) * np.linalg.norm(there, axis=1)
    cosine = float(np.median(np.sum(here * there, axis=1) / np.maximum(lengths, 1e-30)))
    return Check(
        name="rough-loss",
        why="Where gradients a hair apart have nothing in common, following them leads nowhere.",
        measured={"median_cosine": cosine, "least": LEAST_COSINE},
        passed=cosine >= LEAST_COSINE,
        verdict=f"Gradients {NEARBY:g} eps apart have a median cosine of {cosine:.2f}.",
    )


def one_step_beats_many(subject: Subject) -> Check:
    """FGSM against PGD."""
    one = subject.accuracy(f"fgsm:eps={subject.eps:.8g}")
    many = subject.accuracy(_pgd(subject.eps))
    return Check(
        name="one-step-beats-many",
        why="Twenty steps can do whatever one can; if they do worse, gradients mislead.",
        measured={"fgsm": one, "pgd_20": many},
        passed=many <= one + TOLERANCE,
        verdict=f"FGSM leaves {one:.1%}, PGD-20 {many:.1%}.",
    )


def other_loss(subject: Subject) -> Check:
    """PGD on the margin of the logits against PGD on the cross-entropy."""
    entropy, margin = (
        subject.accuracy(_pgd(subject.eps)),
        subject.accuracy(f"cw-{_pgd(subject.eps)}"),
    )
    return Check(
        name="other-loss",
        why=(
            "The same steps on another loss should break about as many images: where they break "
            "far more, the training has hidden the slope of the loss that figures are quoted for."
        ),
        measured={"pgd_20": entropy, "margin_pgd_20": margin, "most_gain": OTHER_LOSS_GAIN},
        passed=entropy - margin <= OTHER_LOSS_GAIN,
        verdict=f"PGD-20 leaves {entropy:.1%}, on the margin loss {margin:.1%}.",
    )


def more_steps(subject: Subject) -> Check:
    """PGD with five times the steps."""
    few, many = (subject.accuracy(_pgd(subject.eps, steps)) for steps in (20, 100))
    return Check(
        name="more-steps",
        why=(
            "More steps must not be weaker, and should no longer gain much: else the figure is "
            "that of an attack which was stopped early."
        ),
        measured={"pgd_20": few, "pgd_100": many, "most_gain": 0.05},
        passed=few - 0.05 <= many <= few + TOLERANCE,
        verdict=f"PGD-20 leaves {few:.1%}, PGD-100 {many:.1%}.",
    )


def restarts(subject: Subject) -> Check:
    """PGD with ten random starts instead of one, and instead of five."""
    one, five, ten = (subject.accuracy(_pgd(subject.eps, 20, r)) for r in (1, 5, 10))
    return Check(
        name="restarts",
        why=(
            "If every further start breaks more images, the loss is a field of local maxima and "
            "a few starts overstate robustness."
        ),
        measured={
            "restarts_1": one,
            "restarts_5": five,
            "restarts_10": ten,
            "most_gain": TOLERANCE,
        },
        passed=five - ten <= TOLERANCE,
        verdict=f"1, 5, 10 starts leave {one:.1%}, {five:.1%}, {ten:.1%}.",
    )


def larger_eps(subject: Subject) -> Check:
    """PGD with two and four times the radius."""
    radii = [subject.eps * factor for factor in (1, 2, 4) if subject.eps * factor <= 1]
    accuracies = [subject.accuracy(_pgd(eps)) for eps in radii]
    falls = all(b <= a + TOLERANCE for a, b in zip(accuracies, accuracies[1:], strict=False))
    return Check(
        name="larger-eps",
        why="A larger ball holds the smaller one.",
        measured={f"eps_{eps:.4g}": value for eps, value in zip(radii, accuracies, strict=True)},
        passed=falls,
        verdict=(
            "PGD-20 leaves "
            + ", ".join(f"{v:.1%} at {e:.3g}" for e, v in zip(radii, accuracies, strict=True))
            + "."
        ),
    )


def unbounded(subject: Subject) -> Check:
    """PGD that may change every pixel to anything."""
    left = subject.accuracy(_pgd(1.0, 100))
    return Check(
        name="unbounded",
        why="With eps 1 an image may become any other image; what survives that was not attacked.",
        measured={"accuracy": left, "most": UNBOUNDED_ACCURACY},
        passed=left <= UNBOUNDED_ACCURACY,
        verdict=f"PGD-100 with eps 1 leaves {left:.1%}.",
    )


def black_box(subject: Subject) -> Check:
    """Square, which sees logits only, against PGD, which sees gradients."""
    white = min(subject.accuracy(_pgd(subject.eps, steps)) for steps in (20, 100))
    black = subject.accuracy(f"square:eps={subject.eps:.8g},queries=1000")
    return Check(
        name="black-box-beats-white-box",
        why="Who sees gradients knows more; if a blind search does better, gradients are masked.",
        measured={"pgd": white, "square_1000": black},
        passed=black >= white - TOLERANCE,
        verdict=f"PGD leaves {white:.1%}, Square with 1,000 queries {black:.1%}.",
    )


def random_noise(subject: Subject) -> Check:
    """Random points of the ball against PGD: the weakest attack there is."""
    white = subject.accuracy(_pgd(subject.eps))
    rng = np.random.default_rng(subject.seed)
    correct = subject.target.predict(subject.x).argmax(1) == subject.y
    for _ in range(10):
        noise = rng.choice((-subject.eps, subject.eps), subject.x.shape)
        moved = np.clip(subject.x + noise, 0, 1).astype(np.float32)
        correct &= subject.target.predict(moved).argmax(1) == subject.y
    left = float(np.mean(correct))
    return Check(
        name="random-noise-beats-white-box",
        why="Noise that knows nothing of the classifier must not do better than gradients.",
        measured={"pgd_20": white, "noise_10_draws": left},
        passed=left >= white - TOLERANCE,
        verdict=f"PGD-20 leaves {white:.1%}, ten draws of noise {left:.1%}.",
    )


def transfer(subject: Subject) -> Check | None:
    """PGD made on another model against PGD made on this one."""
    if subject.transfer is None:
        return None
    white = min(subject.accuracy(_pgd(subject.eps, steps)) for steps in (20, 100))
    moved = subject.transfer(_pgd(subject.eps))
    return Check(
        name="transfer-beats-white-box",
        why=(
            "Images made on another model know nothing of this one; if they do better than its "
            "own gradients, those are masked."
        ),
        measured={"pgd": white, "transfer_pgd_20": moved},
        passed=moved >= white - TOLERANCE,
        verdict=f"PGD on the model itself leaves {white:.1%}, PGD from the surrogate {moved:.1%}.",
    )


def adaptive_attacks(eps: float) -> dict[str, str]:
    """What knows of a defence at inference, label -> attack: through it, and around it."""
    paced = f"eps={eps:.8g},steps=20"
    return {
        **{f"through_{way}": f"through-imt:attack=pgd,backward={way},{paced}" for way in BACKWARDS},
        "joint": f"atld-joint:{paced}",
        "joint_margin": f"atld-joint:loss=margin,{paced}",
    }


def static_vs_adaptive(subject: Subject) -> Check | None:
    """PGD on the bare classifier against attacks that know what stands before it."""
    if subject.behind is None:
        return None
    static = subject.behind(_pgd(subject.eps))
    adaptive = {name: subject.behind(s) for name, s in adaptive_attacks(subject.eps).items()}
    worst = min(adaptive, key=lambda name: adaptive[name])
    sound = static <= adaptive[worst] + TOLERANCE
    return Check(
        name="static-vs-adaptive",
        why=(
            "An attack on the bare classifier never meets the defence; what it leaves is no "
            "robustness of what is deployed where an attack that knows the defence leaves less."
        ),
        measured={
            "static_pgd_20": static,
            **adaptive,
            "least_adaptive": adaptive[worst],
            "most": TOLERANCE,
        },
        passed=sound,
        verdict=(
            f"Behind the defence static PGD-20 leaves {static:.1%}, the adaptive attack "
            f"{worst.replace('_', '-')} {adaptive[worst]:.1%}"
            + ("." if sound else ": the static figure must not be quoted as robustness.")
        ),
    )


CHECKS: tuple[CheckFunction, ...] = (
    zero_gradients,
    exploding_gradients,
    randomised_output,
    rough_loss,
    one_step_beats_many,
    other_loss,
    more_steps,
    restarts,
    larger_eps,
    unbounded,
    black_box,
    random_noise,
    transfer,
    static_vs_adaptive,
)
