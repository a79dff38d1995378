"""The loop against results computed by hand, and how it is compiled, fed and seeded."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.gradient_ascent import AscentSettings, GradientAscent
from atk_latent.errors import InputError
from atk_latent.labels import label_tensor
from tests.adversaries.contract import EPS, SHAPE, entropy, network, right

ASCENTS = ("fgsm", "rs-fgsm", "pgd", "bim", "mim", "cw-pgd")
STEPS = {"fgsm": 1, "rs-fgsm": 1}


@pytest.fixture(scope="module")
def networks():
    return {classes: network(classes) for classes in (2, 3)}


@pytest.mark.parametrize("name", ASCENTS)
def test_radius_zero_leaves_the_image(name, networks):
    model, x, y = networks[3]
    np.testing.assert_array_equal(make_adversary(name, eps=0, steps=2)(model, x, y), x)


def linear(weight, bias=0.0):
    """Two classes; the second one's logit is w.x + b, the first one's 0."""
    weight = np.asarray(weight, np.float32)
    model = keras.Sequential([layers.Input((1, len(weight), 1)), layers.Flatten(), layers.Dense(2)])
    model.set_weights([np.stack([0 * weight, weight], 1), np.array([0.0, bias], np.float32)])
    return model


@pytest.mark.parametrize("name", ASCENTS)
def test_linear_model_is_taken_to_its_optimum(name):
    weight = np.array([3.0, -1.0, 0.5, 2.0], np.float32)
    model, x = linear(weight), np.full((3, 1, 4, 1), 0.5, np.float32)
    y = np.zeros(3, int)
    options = {"steps": STEPS.get(name, 25)}
    if name == "rs-fgsm":
        options["step_size"] = 0.4
    found = make_adversary(name, eps=0.2, **options)(model, x, y)
    want = x + 0.2 * np.sign(weight).reshape(1, 1, 4, 1)
    np.testing.assert_allclose(found, want, atol=1e-6)
    if name != "rs-fgsm":
        # "last": near the optimum the loss is flat, float32 cannot tell the best from the next
        options = {"norm": "l2", "steps": STEPS.get(name, 60), "step_size": 0.2, "keep": "last"}
        found = make_adversary(name, eps=0.2, **options)(model, x, y)
        want = x + 0.2 * (weight / np.linalg.norm(weight)).reshape(1, 1, 4, 1)
        np.testing.assert_allclose(found, want, atol=2e-6)


def test_l1_spends_all_on_the_largest_weights_that_have_room():
    weight = np.array([3.0, -1.0, 0.5, 2.0], np.float32)
    x = np.tile(np.array([0.5, 0.5, 0.5, 0.7], np.float32).reshape(1, 1, 4, 1), (2, 1, 1, 1))
    for name, eps, want in (
        ("pgd", 0.3, [0.8, 0.5, 0.5, 0.7]),
        ("pgd", 0.9, [1.0, 0.4, 0.5, 1.0]),  # 0.5 up, 0.3 up, what is left down
        ("bim", 0.9, [1.0, 0.4, 0.5, 1.0]),
        ("fgsm", 0.3, [0.8, 0.5, 0.5, 0.7]),
    ):
        options = {"norm": "l1", "eps": eps, "steps": STEPS.get(name, 60)}
        found = make_adversary(name, **options)(linear(weight), x, [0, 0]).numpy()
        np.testing.assert_allclose(found[0].ravel(), want, atol=2e-3)


def test_targeted_on_a_linear_model_goes_the_other_way():
    weight = np.array([3.0, -1.0], np.float32)
    model, x = linear(weight), np.full((2, 1, 2, 1), 0.5, np.float32)
    for loss in ("cross-entropy", "margin"):
        adversary = make_adversary("pgd", eps=0.1, steps=5, targeted=True, loss=loss)
        found = adversary(model, x, np.array([1, 0]))
        want = x + 0.1 * np.array([[3, -1], [-3, 1]]).clip(-1, 1).reshape(2, 1, 2, 1)
        np.testing.assert_allclose(found, want, atol=1e-6)


def test_targeted_reaches_its_class_more_often(networks):
    model, x, y = networks[3]
    wanted = (y + 1) % 3
    found = make_adversary("pgd", eps=0.3, steps=10, targeted=True)(model, x, wanted)
    assert right(model, found, wanted).sum() > right(model, x, wanted).sum() + 5
    assert not (right(model, x, wanted) & ~right(model, found, wanted)).any()


def test_golden_step_of_the_notes():
    model, x = linear([1.0, -2.0]), np.array([0.2, -0.4], np.float32).reshape(1, 1, 2, 1)
    adversary = make_adversary("fgsm", eps="16/255", bounds=(-1.0, 1.0))
    found = adversary(model, x, [1]).numpy().ravel()
    np.testing.assert_allclose(found, [0.137255, -0.337255], atol=1e-6)


def reference(model, x, y, settings):
    """The papers' loop, one eager step after another, on Keras' own cross-entropy."""
    x_adv, velocity = x, tf.zeros_like(x)
    axes = (1, 2, 3)
    for _ in range(settings.steps):
        with tf.GradientTape() as tape:
            tape.watch(x_adv)
            loss = keras.losses.sparse_categorical_crossentropy(y, model(x_adv), from_logits=True)
        g = tape.gradient(loss, x_adv)
        if settings.decay:
            velocity = settings.decay * velocity + g / tf.reduce_sum(tf.abs(g), axes, keepdims=True)
            g = velocity
        if settings.norm == "linf":
            x_adv = x_adv + settings.step_length * tf.sign(g)
            x_adv = x + tf.clip_by_value(x_adv - x, -settings.eps, settings.eps)
            x_adv = tf.clip_by_value(x_adv, 0.0, 1.0)
        else:
            length = tf.sqrt(tf.reduce_sum(g**2, axes, keepdims=True))
            x_adv = tf.clip_by_value(x_adv + settings.step_length * g / length, 0.0, 1.0)
            length = tf.sqrt(tf.reduce_sum((x_adv - x) ** 2, axes, keepdims=True))
            x_adv = x + (x_adv - x) * tf.minimum(1.0, settings.eps / length)
    return x_adv


@pytest.mark.parametrize("norm", EPS)
@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_last_iterate_is_that_of_the_papers_loop(norm, decay, networks):
    model, x, y = networks[3]
    settings = AscentSettings(
        eps=EPS[norm], norm=norm, steps=4, random_start=False, decay=decay, keep="last"
    )
    found = GradientAscent(settings)(model, x, y)
    np.testing.assert_allclose(found, reference(model, x, y, settings), atol=1e-5)


def test_best_is_kept_where_a_step_overshoots():
    def bump(x):  # highest at 0.5, never a success
        return tf.concat([tf.ones((tf.shape(x)[0], 1)), -tf.abs(x[:, 0, 0] - 0.5)], axis=1)

    x = np.array([0.45, 0.48]).reshape(2, 1, 1, 1).astype(np.float32)
    options = {"eps": 0.4, "step_size": 0.04, "steps": 5}
    best = make_adversary("bim", **options)(bump, x, [0, 0]).numpy().ravel()
    last = make_adversary("bim", keep="last", **options)(bump, x, [0, 0]).numpy().ravel()
    np.testing.assert_allclose(best, [0.49, 0.48], atol=1e-6)
    np.testing.assert_allclose(last, [0.49, 0.52], atol=1e-6)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_more_restarts_lose_nothing_and_leave_successes_alone(keep, networks):
    model, x, y = networks[3]
    options = {"eps": 0.04, "steps": 2, "step_size": 0.01, "seed": 1, "keep": keep}
    few = make_adversary("pgd", restarts=1, **options)(model, x, y)
    many = make_adversary("pgd", restarts=4, **options)(model, x, y)
    one, four = (right(model, images, y) for images in (few, many))
    assert not (four & ~one).any()
    np.testing.assert_array_equal(many[~one], few[~one])
    gained = (entropy(model, many, y) - entropy(model, few, y))[one & four]
    assert (gained >= -1e-6).all() and (gained > 1e-6).any()
    assert (~one).any()


def test_partial_batches_and_a_batch_of_one_do_not_retrace(networks):
    model, x, y = networks[3]
    traces = []

    def counted(images):
        traces.append(images.shape)
        return model(images, training=False)

    adversary = make_adversary("pgd", eps=0.1, steps=3, restarts=2)
    adversary(counted, x, y)
    first = len(traces)
    assert first <= 4  # once a graph, not once a step
    for n in (7, 1):
        assert adversary(counted, x[:n], y[:n]).shape[0] == n
    assert len(adversary.craft_all(counted, x.numpy(), y, batch_size=8)) == 20
    assert len(adversary.craft_all(counted, x.numpy()[:0], y[:0])) == 0
    assert len(traces) == first


def test_results_do_not_depend_on_the_batch_split(networks):
    model, x, y = networks[3]
    adversary = make_adversary("pgd", eps=0.1, steps=3)
    made = [adversary.craft_all(model, x.numpy(), y, batch_size=n, seed=4) for n in (1, 6, 20, 256)]
    for other in made[1:]:
        np.testing.assert_allclose(other, made[0], atol=1e-5)
    other = adversary.craft_all(model, x.numpy(), y, batch_size=20, seed=5)
    assert np.abs(other - made[2]).max() > 1e-3


def test_seeds_advance_from_call_to_call_and_are_reproduced(networks):
    model, x, y = networks[3]
    one, two = (make_adversary("rs-fgsm", eps=0.1, seed=9) for _ in range(2))
    first = [one(model, x, y).numpy() for _ in range(2)]
    second = [two(model, x, y).numpy() for _ in range(2)]
    np.testing.assert_array_equal(first, second)
    assert np.abs(first[0] - first[1]).max() > 1e-3


def test_inside_a_graph_it_is_part_of_that_graph(networks):
    model, x, y = networks[3]
    inner, outer = (make_adversary("pgd", eps=0.1, steps=2, seed=2) for _ in range(2))
    for batch in (20, 1):
        step = tf.function(lambda *batch: inner(model, *batch), autograph=False)
        found = step(x[:batch], tf.constant(y[:batch]))
        np.testing.assert_allclose(found, outer(model, x[:batch], y[:batch]), atol=1e-5)


def test_dtype_and_one_hot_labels(networks):
    model, x, y = networks[3]
    adversary = make_adversary("bim", eps=0.1, steps=2)
    want = adversary(model, x, y).numpy()
    np.testing.assert_array_equal(adversary(model, x, np.eye(3)[y]), want)
    np.testing.assert_array_equal(adversary(model, x, y[:, None]), want)
    half = adversary(model, tf.cast(x, tf.float16), y)
    assert half.dtype == tf.float16
    np.testing.assert_allclose(tf.cast(half, tf.float32), want, atol=2e-2)
    with pytest.raises(InputError, match="uint8"):
        adversary(model, np.zeros((2, *SHAPE), np.uint8), [0, 1])
    with pytest.raises(InputError, match="labels"):
        label_tensor(np.zeros((2, 3, 4)))


def test_model_of_a_fixed_batch_is_padded_to_it():
    model = keras.Sequential(
        [layers.Input(batch_shape=(4, *SHAPE)), layers.Flatten(), layers.Dense(3)]
    )
    x = np.full((6, *SHAPE), 0.5, np.float32)
    found = make_adversary("pgd", eps=0.1, steps=2).craft_all(model, x, np.arange(6) % 3)
    assert found.shape == x.shape and np.abs(found - x).max() > 0.01


def test_gradients_that_are_not_numbers_do_not_spoil_the_image():
    def broken(x):
        flat = tf.reshape(x, (tf.shape(x)[0], 2))
        return tf.stack([tf.zeros_like(flat[:, 0]), flat[:, 0] + tf.sqrt(flat[:, 1] * 0.0)], 1)

    x = np.full((1, 1, 2, 1), 0.5, np.float32)
    found = make_adversary("bim", eps=0.1, steps=2)(broken, x, [0]).numpy().ravel()
    np.testing.assert_allclose(found, [0.6, 0.5], atol=1e-6)


def test_a_copy_works_and_old_classifiers_are_let_go(networks):
    model, x, y = networks[3]
    adversary = make_adversary("bim", eps=0.1, steps=1)
    want = adversary(model, x, y).numpy()
    np.testing.assert_array_equal(copy.copy(adversary)(model, x, y), want)
    for _ in range(5):
        adversary(lambda images: tf.reshape(images, (-1, 16))[:, :3], x, y)
    assert len(adversary._compiled) == 4


def test_progress_is_told(networks):
    model, x, y = networks[3]
    told = []
    make_adversary("bim", eps=0.1, steps=1).craft_all(
        model, x.numpy(), y, batch_size=8, on_batch=lambda *done: told.append(done)
    )
    assert told == [(8, 20), (16, 20), (20, 20)]


def test_default_steps_are_the_papers():
    assert AscentSettings(eps=0.3).step_length == pytest.approx(2.5 * 0.3 / 40)
    assert AscentSettings(eps=0.3, steps=1).step_length == 0.3
    assert make_adversary("mim", eps=0.3).settings.step_length == pytest.approx(0.03)
    assert make_adversary("pgd", eps="8/255").settings.eps == 8 / 255
    assert make_adversary("cw-pgd").settings.margin == 50


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eps": -1}, "'eps' must be at least 0. Received: -1"),
        ({"eps": float("nan")}, "'eps' must be a number. Received: nan"),
        ({"steps": 0}, "'steps' must be at least 1. Received: 0"),
        ({"steps": 1.5}, "'steps' must be a whole number. Received: 1.5"),
        ({"step_size": 0}, "'step_size' must be greater than 0"),
        ({"restarts": 0}, "'restarts' must be at least 1"),
        ({"restarts": 2, "random_start": False}, "'restarts' must be 1"),
        ({"decay": -0.5}, "'decay' must be at least 0"),
        ({"margin": -1}, "'margin' must be at least 0"),
        ({"eot": 0}, "'eot' must be at least 1. Received: 0"),
        ({"norm": "l3"}, "one of linf, l2, l1. Received: 'l3'"),
        ({"loss": "dlr"}, "one of cross-entropy, margin. Received: 'dlr'"),
        ({"keep": "first"}, "one of best, last. Received: 'first'"),
        ({"bounds": (1.0, 0.0)}, "bounds must be"),
    ],
)
def test_wrong_setting_is_refused_with_its_value(settings, message):
    with pytest.raises(InputError) as error:
        AscentSettings(**settings)
    assert message in str(error.value)


def test_wrong_name_setting_batch_and_seed_are_refused(networks):
    model, x, y = networks[3]
    with pytest.raises(InputError, match="Did you mean 'pgd'"):
        make_adversary("pdg")
    with pytest.raises(InputError, match="Did you mean 'eps'"):
        make_adversary("pgd", epz=1)
    with pytest.raises(InputError, match="'seed'"):
        make_adversary("pgd", seed=-1)
    with pytest.raises(InputError, match="batch_size"):
        make_adversary("pgd").craft_all(model, x.numpy(), y, batch_size=0)
    with pytest.raises(InputError, match="20 and 3"):
        make_adversary("pgd").craft_all(model, x.numpy(), y[:3])
