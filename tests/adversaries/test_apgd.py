"""APGD against the published loop, closed forms and the notes' traces."""

import numpy as np
import pytest
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.apgd import AdaptiveAscent, APGDSettings, checkpoints
from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.noise import RowNoise
from atk_latent.errors import InputError
from tests.adversaries.contract import EPS, network, right

SEED = tf.constant([7, 0], tf.int64)


def test_checkpoints_are_the_golden_ones():
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(50) == [11, 21, 30, 38, 45]
    assert checkpoints(10) == list(range(2, 11))
    assert checkpoints(1) == [1]


class FixedStart(AdaptiveAscent):
    start: tf.Tensor

    def _start(self, x, noise, index):
        return self.start


def traced(adversary, classifier, x, y):
    """Every batch the classifier sees, in order; run without a graph, with the result."""
    seen = []

    def recording(images):
        seen.append(images.numpy())
        return classifier(images)

    return seen, adversary.craft(recording, tf.constant(x), tf.constant(y), RowNoise(SEED))


def test_trace_is_the_golden_one():
    def hill(x):  # highest at 0.53, never a success
        flat = x[:, 0, 0]
        return tf.concat([tf.zeros_like(flat), -1.0 - tf.square(flat - 0.53)], axis=1)

    adversary = FixedStart(APGDSettings(eps=0.1, steps=23))  # the first check is the fifth
    adversary.start = tf.constant([[[[0.45]]]])
    x = np.full((1, 1, 1, 1), 0.5, np.float32)
    seen, found = traced(adversary, hill, x, np.array([0], np.int32))
    assert len(seen) == 1 + 1 + 23  # the image, the start, the steps
    np.testing.assert_allclose(
        np.ravel(seen[2:7]), [0.6, 0.4875, 0.54375, 0.45, 0.5390625], atol=1e-6
    )
    best = min(seen[1:], key=lambda point: abs(point.item() - 0.53))
    np.testing.assert_allclose(found, best, atol=1e-6)


def follow(model, x, y, seen, loss, settings):
    """Checks the published loop step by step, each from where the iterates seen came to.

    Returns the points of the highest loss, the last misclassified ones, and whether any was.
    """
    axes, slot = (1, 2, 3), {"cross-entropy": -np.inf, "dlr": 0.0}[settings.loss]

    def judged(point):
        with tf.GradientTape() as tape:
            point = tf.constant(point)
            tape.watch(point)
            logits = model(point)
            value = loss(logits, tf.constant(y))
        gradient = tape.gradient(value, point).numpy()
        return value.numpy(), gradient, np.argmax(logits, axis=1) != y

    def wide(values):
        return values.reshape(-1, 1, 1, 1)

    def unit(values):
        return values / (np.sqrt((values**2).sum(axes, keepdims=True)) + 1e-12)

    def inside(point):
        if settings.norm == "linf":
            return np.clip(np.clip(point, x - settings.eps, x + settings.eps), 0.0, 1.0)
        size = np.sqrt(((point - x) ** 2).sum(axes, keepdims=True))
        return np.clip(x + unit(point - x) * np.minimum(settings.eps, size), 0.0, 1.0)

    n = settings.steps
    window, shrink, least = (max(int(f * n), 1) for f in (0.22, 0.03, 0.06))
    point = old = hit = best = seen[0]
    best_value, gradient, fooled = judged(point)
    best_gradient, at_check, halved = gradient, best_value, np.ones(len(x), bool)
    step, count, halvings = np.full(len(x), 2 * settings.eps, np.float32), 0, 0
    history = np.full((n, len(x)), slot)
    for i in range(n):
        direction = np.sign(gradient) if settings.norm == "linf" else unit(gradient)
        a = 0.75 if i else 1.0
        move, old = point - old, point
        ahead = inside(point + wide(step) * direction)
        np.testing.assert_allclose(
            seen[i + 1], inside(point + a * (ahead - point) + (1 - a) * move), atol=1e-5
        )
        point = seen[i + 1]
        value, gradient, wrong = judged(point)
        hit, fooled = np.where(wide(wrong), point, hit), fooled | wrong
        history[i] = value
        better = value > best_value
        best_value = np.where(better, value, best_value)
        best = np.where(wide(better), point, best)
        best_gradient = np.where(wide(better), gradient, best_gradient)
        count += 1
        if count == window:
            rises = sum(history[i - c] > history[i - c - 1] for c in range(window))
            halved = (rises <= 0.75 * window) | (~halved & (at_check >= best_value))
            at_check, halvings = best_value, halvings + halved.sum()
            step = np.where(halved, step / 2, step)
            point = np.where(wide(halved), best, point)
            gradient = np.where(wide(halved), best_gradient, gradient)
            window, count = max(window - shrink, least), 0
    assert halvings and (settings.norm == "linf" or halvings < len(x) * len(checkpoints(n)))
    return best, hit, fooled


@pytest.mark.parametrize("norm", EPS)
@pytest.mark.parametrize("loss", ["cross-entropy", "dlr"])
def test_iterates_are_those_of_the_published_loop(norm, loss):
    model, x, _ = network(5)
    x = x.numpy()[:12]
    y = model(x).numpy().argmax(axis=1).astype(np.int32)
    settings = APGDSettings(eps=EPS[norm] * 0.2, norm=norm, steps=20, loss=loss)
    kind = {"cross-entropy": losses.log_odds, "dlr": losses.dlr}[loss]
    seen, found = traced(AdaptiveAscent(settings), model, x, y)
    best, hit, fooled = follow(model, x, y, seen[1:], kind, settings)
    assert 0 < fooled.sum() < len(x)
    np.testing.assert_array_equal(found[fooled], hit[fooled])
    if loss == "cross-entropy":  # of the DLR iterates the image itself may be the better one
        np.testing.assert_array_equal(found[~fooled], best[~fooled])


@pytest.mark.parametrize("norm", EPS)
def test_starts_are_on_the_sphere(norm):
    adversary = make_adversary("apgd-ce", eps=0.1, norm=norm)
    x = tf.fill((30, 2, 2, 1), 0.5)
    change = np.reshape(adversary._start(x, RowNoise(SEED), 0) - x, (30, 4))
    sizes = np.linalg.norm(change, ord={"linf": np.inf, "l2": 2}[norm], axis=1)
    np.testing.assert_allclose(sizes, 0.1, rtol=1e-4)
    assert (change.min(0) < 0).all() and (change.max(0) > 0).all()


@pytest.mark.parametrize("norm", EPS)
def test_linear_model_is_taken_to_its_optimum(norm):
    weight = np.array([3.0, -1.0, 0.5, 2.0], np.float32)

    def linear(x):
        score = tf.linalg.matvec(tf.reshape(x, (-1, 4)), weight)
        return tf.stack([tf.zeros_like(score), score - 9.0], axis=1)  # never a success

    x = np.full((3, 1, 4, 1), 0.5, np.float32)
    found = make_adversary("apgd-ce", eps=0.2, norm=norm, steps=50)(linear, x, [0, 0, 0])
    best = np.sign(weight) if norm == "linf" else weight / np.linalg.norm(weight)
    np.testing.assert_allclose(found, x + 0.2 * best.reshape(1, 1, 4, 1), atol=1e-4)


def test_leaving_early_changes_nothing_for_the_others():
    model, x, y = network(5)
    options = {"eps": 0.03, "steps": 15, "restarts": 2, "targets": 2, "seed": 1}
    early, late = (
        make_adversary("apgd-t", early_stop=choice, **options)(model, x, y).numpy()
        for choice in (True, False)
    )
    robust = right(model, late, y)
    np.testing.assert_array_equal(right(model, early, y), robust)
    assert 2 < robust.sum() < len(x) - 2
    np.testing.assert_allclose(early[robust], late[robust], atol=1e-5)
    wrong = ~right(model, x, y)
    assert wrong.any()
    np.testing.assert_array_equal(early[wrong], x.numpy()[wrong])


def test_images_leave_the_batch_and_nothing_is_traced_again():
    model, x, y = network(5)
    traces, sizes = [], []

    def watched(images):
        traces.append(images.shape)
        noted = tf.py_function(lambda n: sizes.append(int(n)), [tf.shape(images)[0]], [])
        with tf.control_dependencies([noted]):  # in the order of the passes
            return model(tf.identity(images), training=False)

    adversary = make_adversary("apgd-ce", eps=0.03, steps=15, restarts=2)
    adversary(watched, x, y)
    begun, robust = len(traces), int(right(model, x, y).sum())
    first = [size for size in sizes if size != len(x)]
    assert first[0] == robust and first[-1] < robust
    assert first == sorted(first, reverse=True)
    adversary(watched, x[:7], y[:7])
    one, other = (
        adversary.craft_all(watched, x.numpy(), y, batch_size=size, seed=4) for size in (6, 20)
    )
    np.testing.assert_allclose(one, other, atol=1e-5)  # starts belong to images, not to batches
    assert len(traces) == begun <= 4  # three in the graph, one look at the gradients


def test_each_run_aims_at_the_next_class():
    names = {0: 3.0, 1: 0.0, 2: 2.0, 3: 1.0, 4: -1.0}  # clean logits; classes by rank 0 2 3 1 4
    aims = []

    class Aiming(AdaptiveAscent):
        def _loss(self, problem, logits, averaged=False):
            aims.append(int(problem.target[0]))
            return super()._loss(problem, logits, averaged)

    def flat(x):
        return tf.constant([list(names.values())]) + 0.0 * x[:, 0, 0]

    settings = APGDSettings(eps=0.1, steps=2, loss="dlr", targets=9, restarts=2)
    x = np.full((1, 1, 1, 1), 0.5, np.float32)
    traced(Aiming(settings), flat, x, np.array([0], np.int32))
    assert list(dict.fromkeys(aims)) == [2, 3, 1, 4]
    assert len(aims) == 4 * 2 * (2 + 1) * 2  # targets, restarts, points, loss and gradient


@pytest.mark.parametrize(("classes", "name"), [(2, "apgd-dlr"), (2, "apgd-t"), (3, "apgd-t")])
def test_few_classes_climb_the_numerator_of_the_loss(classes, name):
    logits, y = tf.constant([[1.0, 4.0, 2.0][:classes]]), tf.constant([0])
    adversary = make_adversary(name)
    problem = type("Problem", (), {"y": y, "target": tf.constant([1])})
    np.testing.assert_allclose(adversary._loss(problem, logits), [3.0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": -1}, "'eps' must be at least 0. Received: -1"),
        ({"norm": "l1"}, "one of linf, l2. Received: 'l1'"),
        ({"loss": "margin"}, "one of cross-entropy, dlr. Received: 'margin'"),
        ({"steps": 0}, "'steps' must be at least 1. Received: 0"),
        ({"restarts": 0}, "'restarts' must be at least 1. Received: 0"),
        ({"eot": 0}, "'eot' must be at least 1. Received: 0"),
        ({"rho": 2}, "'rho' must be between 0 and 1. Received: 2"),
        ({"targets": 9}, "'targets' needs loss=dlr; set it to 0. Received: 9"),
        ({"bounds": (1.0, 0.0)}, "bounds must be"),
    ],
)
def test_wrong_setting_is_refused_with_its_value(settings, message):
    with pytest.raises(InputError) as error:
        APGDSettings(**settings)
    assert message in str(error.value)
