"""Written by `python -m atk_latent.art_bridge.stubs`; a test holds it up to date."""

from typing import Literal

from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.art_bridge.attack_classes import AdversaryAttack
from atk_latent.art_bridge.ladder_attack import LADDERAttack as LADDERAttack
from atk_latent.art_bridge.manifold_attack import ManifoldAttack as ManifoldAttack
from atk_latent.art_bridge.unrestricted import UnrestrictedGAN as UnrestrictedGAN

__all__: list[str]

class APGD(AdversaryAttack):
    """Gradient ascent that picks its own step size, as in the official AutoAttack, compiled.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model.
        norm: np.inf, "inf", 2.
        eps: number >= 0, radius of the ball in the units of `clip_values`; 0 leaves images alone.
        max_iter: int >= 1, forward-backward passes of each run after the one at its start.
        nb_random_init: int >= 1, random starts, of each target where there are some.
        batch_size: int >= 1, images at once.
        loss_type: "cross_entropy" or "difference_logits_ratio", which needs three classes.
        eot: int >= 1, passes whose gradients and logits are averaged at every step; more than
            one for a classifier that answers at random.
        seed: int >= 0; None draws it from NumPy's global state at each `generate`, as ART's own
            attacks do.
        verbose: show a progress bar on stderr; without it nothing is shown.

    Lengths are in the estimator's own pixel units, those of its `clip_values`.

    Raises:
        InputError: on an estimator or a parameter that will not do.

    Example:
        >>> attack = APGD(estimator)
        >>> attack.generate(x, y).shape == x.shape
        True

    Reference: Croce and Hein, ICML 2020, Algorithm 1, and their code: the clean image is
        the best point of no run, the earliest step of the first window is compared with a
        loss of 0, and a halved image keeps its momentum.
    Differs: where no run succeeds their code hands back the clean image; cross-entropy is
        climbed through `losses.log_odds`; DLR needs three classes and targeted DLR four,
        with fewer classes the numerator of the loss alone, `losses.logit_lead`, is climbed.
        From ART's `AutoProjectedGradientDescent`, whose parameters these are: the first step is
        2 eps (no `eps_step`), one random start for ART's five, and nothing is targeted.
    """

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = ...,
        eps: float = 0.3,
        max_iter: int = 100,
        nb_random_init: int = 1,
        batch_size: int = 32,
        loss_type: Literal["cross_entropy", "difference_logits_ratio"] = "cross_entropy",
        *,
        eot: int = 1,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None: ...

class APGDTargeted(AdversaryAttack):
    """APGD on the targeted logit ratio, towards one class after another: untargeted in effect.

    It needs four classes.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model.
        norm: np.inf, "inf", 2.
        eps: number >= 0, radius of the ball in the units of `clip_values`; 0 leaves images alone.
        max_iter: int >= 1, forward-backward passes of each run after the one at its start.
        nb_random_init: int >= 1, random starts, of each target where there are some.
        batch_size: int >= 1, images at once.
        nb_targets: int >= 1, classes aimed at: those next to the label in the clean logits.
        eot: int >= 1, passes whose gradients and logits are averaged at every step; more than
            one for a classifier that answers at random.
        seed: int >= 0; None draws it from NumPy's global state at each `generate`, as ART's own
            attacks do.
        verbose: show a progress bar on stderr; without it nothing is shown.

    Lengths are in the estimator's own pixel units, those of its `clip_values`.

    Raises:
        InputError: on an estimator or a parameter that will not do.

    Example:
        >>> attack = APGDTargeted(estimator)
        >>> attack.generate(x, y).shape == x.shape
        True

    Reference: Croce and Hein, ICML 2020, Algorithm 1, and their code: the clean image is
        the best point of no run, the earliest step of the first window is compared with a
        loss of 0, and a halved image keeps its momentum.
    Differs: where no run succeeds their code hands back the clean image; cross-entropy is
        climbed through `losses.log_odds`; DLR needs three classes and targeted DLR four,
        with fewer classes the numerator of the loss alone, `losses.logit_lead`, is climbed.
    """

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = ...,
        eps: float = 0.3,
        max_iter: int = 100,
        nb_random_init: int = 1,
        batch_size: int = 32,
        *,
        nb_targets: int = 9,
        eot: int = 1,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None: ...

class FAB(AdversaryAttack):
    """The nearest adversarial image, by steps onto linearised boundaries, compiled.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model.
        norm: np.inf, "inf", 2.
        eps: number >= 0 in the units of `clip_values`: an image is handed back changed only if an
            adversarial image within `eps` was found, and then leaves the search. None looks for
            the smallest change of every image, whatever its size.
        max_iter: int >= 1 of each run.
        nb_restarts: int >= 1, runs for each target. The first starts from the image, the others
            half of `eps` away in a random direction (without `eps` half of 0.3 Linf, 1.0 L2).
        batch_size: int >= 1, images at once.
        seed: int >= 0; None draws it from NumPy's global state at each `generate`, as ART's own
            attacks do.
        verbose: show a progress bar on stderr; without it nothing is shown.

    Lengths are in the estimator's own pixel units, those of its `clip_values`.

    Raises:
        InputError: on an estimator or a parameter that will not do.

    Example:
        >>> attack = FAB(estimator)
        >>> attack.generate(x, y).shape == x.shape
        True

    Reference: Croce and Hein, ICML 2020, "Minimally distorted adversarial examples with a
        fast adaptive boundary attack", Algorithm 1; the targeted variant and the order of
        targets as in AutoAttack.
    Differs: no final search along the line to the image (AutoAttack has none either); an
        image without an adversarial one within `eps` is handed back unchanged.
    """

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = ...,
        eps: float | None = 0.3,
        max_iter: int = 100,
        nb_restarts: int = 1,
        batch_size: int = 32,
        *,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None: ...

class FABTargeted(AdversaryAttack):
    """FAB towards one class after another, a single backward pass a step, compiled.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model.
        norm: np.inf, "inf", 2.
        eps: number >= 0 in the units of `clip_values`: an image is handed back changed only if an
            adversarial image within `eps` was found, and then leaves the search. None looks for
            the smallest change of every image, whatever its size.
        max_iter: int >= 1 of each run.
        nb_restarts: int >= 1, runs for each target. The first starts from the image, the others
            half of `eps` away in a random direction (without `eps` half of 0.3 Linf, 1.0 L2).
        batch_size: int >= 1, images at once.
        nb_targets: int >= 1, classes aimed at: those next to the label in the clean logits.
        seed: int >= 0; None draws it from NumPy's global state at each `generate`, as ART's own
            attacks do.
        verbose: show a progress bar on stderr; without it nothing is shown.

    Lengths are in the estimator's own pixel units, those of its `clip_values`.

    Raises:
        InputError: on an estimator or a parameter that will not do.

    Example:
        >>> attack = FABTargeted(estimator)
        >>> attack.generate(x, y).shape == x.shape
        True

    Reference: Croce and Hein, ICML 2020, "Minimally distorted adversarial examples with a
        fast adaptive boundary attack", Algorithm 1; the targeted variant and the order of
        targets as in AutoAttack.
    Differs: no final search along the line to the image (AutoAttack has none either); an
        image without an adversarial one within `eps` is handed back unchanged.
    """

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = ...,
        eps: float | None = 0.3,
        max_iter: int = 100,
        nb_restarts: int = 1,
        batch_size: int = 32,
        *,
        nb_targets: int = 9,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None: ...

class FastCarliniL2(AdversaryAttack):
    """Carlini and Wagner's attack: the smallest L2 change, by Adam in tanh space, compiled.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model.
        confidence: number >= 0, by how much the class wanted (or another) must lead.
        targeted: labels are the classes wanted.
        learning_rate: number > 0, of Adam.
        binary_search_steps: int >= 1, constants tried.
        max_iter: int >= 1, steps of Adam for each constant.
        initial_const: number > 0, the first constant.
        batch_size: int >= 1, images at once.
        random_target: towards a class drawn for each image, uniformly among those that are not
            its label, instead of any other class.
        abort_early: an image leaves a constant once its loss falls by less than 0.01% in a
            tenth of the steps.
        eps: an image changed by more, in L2, is handed back unchanged; None: any change counts.
        seed: int >= 0; None draws it from NumPy's global state at each `generate`, as ART's own
            attacks do.
        verbose: show a progress bar on stderr; without it nothing is shown.

    Lengths are in the estimator's own pixel units, those of its `clip_values`.

    Raises:
        InputError: on an estimator or a parameter that will not do.

    Example:
        >>> attack = FastCarliniL2(estimator)
        >>> attack.generate(x, y).shape == x.shape
        True

    Reference: Carlini and Wagner, S&P 2017, section VI.A, f6; defaults of CleverHans 3.1.
    Differs: early abort is decided for each image on its own, not for the batch, so that
        finished images cost nothing more and results do not depend on the batch.
        From ART's `CarliniL2Method`, whose parameters these are: defaults are CleverHans'; Adam
        in place of a line search, so no `max_halving` and `max_doubling`; constants are weighed
        against distances in [0, 1] pixel units.
    """

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        confidence: float = 0.0,
        targeted: bool = False,
        learning_rate: float = 0.005,
        binary_search_steps: int = 9,
        max_iter: int = 1000,
        initial_const: float = 0.01,
        batch_size: int = 128,
        *,
        random_target: bool = False,
        abort_early: bool = True,
        eps: float | None = None,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None: ...

class FastJSMA(AdversaryAttack):
    """The saliency map attack: two values at a time, those that most favour a class, compiled.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model.
        theta: what is added to a value, in the units of `clip_values`, not 0.
        gamma: in (0, 1], the largest share of an image's values that may change.
        batch_size: int >= 1, images at once.
        targeted: labels are the classes wanted; else a class is drawn for each image, uniformly
            among those that are not its label.
        seed: int >= 0; None draws it from NumPy's global state at each `generate`, as ART's own
            attacks do.
        verbose: show a progress bar on stderr; without it nothing is shown.

    Lengths are in the estimator's own pixel units, those of its `clip_values`.

    Raises:
        InputError: on an estimator or a parameter that will not do.

    Example:
        >>> attack = FastJSMA(estimator)
        >>> attack.generate(x, y).shape == x.shape
        True

    Reference: Papernot et al., EuroS&P 2016, Algorithms 1 and 3, whose theta 1 and gamma
        14.5% are the defaults.
    Differs: an image that ends where the attacker does not want it comes back unchanged.
        Slopes are those of logits; those of softmax outputs add up to 0, so that
        beta = -alpha.
        From ART's `SaliencyMapMethod`, whose parameters these are: that one takes the two
        largest slopes of the target and leaves the other classes out, always takes labels for
        targets, and hands back images that did not reach theirs.
    """

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        theta: float = 1.0,
        gamma: float = 0.145,
        batch_size: int = 128,
        *,
        targeted: bool = False,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None: ...

class FastPGD(AdversaryAttack):
    """Projected gradient ascent on the cross-entropy, compiled.

    Parameters are those of ART's `ProjectedGradientDescent`, and so are their defaults.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model.
        norm: np.inf, "inf", 2, 1.
        eps: number >= 0, radius of the ball in the units of `clip_values`; 0 leaves images alone.
        eps_step: number > 0, length of a step.
        max_iter: int >= 1, forward-backward passes of each start.
        targeted: labels are the classes wanted, and the loss is descended.
        num_random_init: int >= 0, random starts; 0 starts once, at the image itself.
        batch_size: int >= 1, images at once.
        decay: number >= 0, of the momentum (MIM); None is none.
        keep: "best" hands back, for each image, the best of the image itself and of every
            iterate of every start: one that succeeds before one that does not, then the highest
            loss, so neither a later step nor a restart loses anything. It costs one forward
            pass more, two with a random start. "last" hands back the last iterate, as the
            papers do; of several starts the best last one.
        eot: int >= 1, passes whose gradients and logits are averaged at every step; more than
            one for a classifier that answers at random.
        seed: int >= 0; None draws it from NumPy's global state at each `generate`, as ART's own
            attacks do.
        verbose: show a progress bar on stderr; without it nothing is shown.

    Lengths are in the estimator's own pixel units, those of its `clip_values`.

    Raises:
        InputError: on an estimator or a parameter that will not do.

    Example:
        >>> attack = FastPGD(estimator)
        >>> attack.generate(x, y).shape == x.shape
        True

    Reference: Goodfellow et al. 2015 (FGSM); Kurakin et al. 2017 (BIM); Madry et al. 2018
        (PGD); Dong et al. 2018, Algorithm 1 (MIM); Carlini and Wagner 2017 (margin).
    Differs: cross-entropy is climbed through `losses.log_odds`, whose gradient has the same
        direction and does not vanish; random starts are clipped to the bounds unless
        `clip_start` is off: ATLD's code leaves that to the first step.
        ART hands back the last iterate of the best start, this one the best iterate
        (`keep="last"` does as ART); a random start is uniform in the ball in every norm;
        `random_eps`, `summary_writer` and masks are not supported.
    """

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = ...,
        eps: float = 0.3,
        eps_step: float = 0.1,
        max_iter: int = 100,
        targeted: bool = False,
        num_random_init: int = 0,
        batch_size: int = 32,
        *,
        decay: float | None = None,
        keep: Literal["best", "last"] = "best",
        eot: int = 1,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None: ...

class FastSquare(AdversaryAttack):
    """Random squares, kept where they help; asks for logits only.

    Parameters are those of ART's `SquareAttack`, and so are their defaults.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model.
        norm: np.inf, "inf", 2.
        max_iter: int >= 1, images shown to the classifier for each restart, the first proposal
            included (the image itself, asked once, is not).
        eps: number >= 0, radius of the ball in the units of `clip_values`.
        p_init: number in (0, 1], of the pixels in the first window; it is halved after 10, 50,
            200, 500, 1000, 2000, 4000, 6000 and 8000 windows.
        nb_restarts: int >= 1.
        batch_size: int >= 1, images at once.
        seed: int >= 0; None draws it from NumPy's global state at each `generate`, as ART's own
            attacks do.
        verbose: show a progress bar on stderr; without it nothing is shown.

    Lengths are in the estimator's own pixel units, those of its `clip_values`.

    Raises:
        InputError: on an estimator or a parameter that will not do.

    Example:
        >>> attack = FastSquare(estimator)
        >>> attack.generate(x, y).shape == x.shape
        True

    Reference: Andriushchenko et al., ECCV 2020, Algorithms 1-3; margin loss, share 0.8 and
        no rescaling of the schedule to the budget, as in AutoAttack.
    Differs: every image has windows of its own where the published code shares one among
        the batch, so an image's result does not depend on its batch; windows also reach the
        last row and column; a tie of two logits is a success only if the label loses it.
        The share of pixels shrinks by the count of queries, as in the official code, not by the
        share of `max_iter`; no `adv_criterion` and no `loss` of one's own.
    """

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = ...,
        max_iter: int = 100,
        eps: float = 0.3,
        p_init: float = 0.8,
        nb_restarts: int = 1,
        batch_size: int = 128,
        *,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None: ...

class MarginPGD(AdversaryAttack):
    """The papers' "CW20/40/100": projected gradient ascent on the margin loss, compiled.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model.
        norm: np.inf, "inf", 2, 1.
        eps: number >= 0, radius of the ball in the units of `clip_values`; 0 leaves images alone.
        eps_step: number > 0, length of a step.
        max_iter: int >= 1, forward-backward passes of each start.
        targeted: labels are the classes wanted, and the loss is descended.
        num_random_init: int >= 0, random starts; 0 starts once, at the image itself.
        batch_size: int >= 1, images at once.
        decay: number >= 0, of the momentum (MIM); None is none.
        keep: "best" hands back, for each image, the best of the image itself and of every
            iterate of every start: one that succeeds before one that does not, then the highest
            loss, so neither a later step nor a restart loses anything. It costs one forward
            pass more, two with a random start. "last" hands back the last iterate, as the
            papers do; of several starts the best last one.
        eot: int >= 1, passes whose gradients and logits are averaged at every step; more than
            one for a classifier that answers at random.
        margin: number >= 0, confidence of the margin loss; 50 in the papers.
        seed: int >= 0; None draws it from NumPy's global state at each `generate`, as ART's own
            attacks do.
        verbose: show a progress bar on stderr; without it nothing is shown.

    Lengths are in the estimator's own pixel units, those of its `clip_values`.

    Raises:
        InputError: on an estimator or a parameter that will not do.

    Example:
        >>> attack = MarginPGD(estimator)
        >>> attack.generate(x, y).shape == x.shape
        True

    Reference: Goodfellow et al. 2015 (FGSM); Kurakin et al. 2017 (BIM); Madry et al. 2018
        (PGD); Dong et al. 2018, Algorithm 1 (MIM); Carlini and Wagner 2017 (margin).
    Differs: cross-entropy is climbed through `losses.log_odds`, whose gradient has the same
        direction and does not vanish; random starts are clipped to the bounds unless
        `clip_start` is off: ATLD's code leaves that to the first step.
        ART hands back the last iterate of the best start, this one the best iterate
        (`keep="last"` does as ART); a random start is uniform in the ball in every norm;
        `random_eps`, `summary_writer` and masks are not supported.
    """

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = ...,
        eps: float = 0.3,
        eps_step: float = 0.1,
        max_iter: int = 100,
        targeted: bool = False,
        num_random_init: int = 0,
        batch_size: int = 32,
        *,
        decay: float | None = None,
        keep: Literal["best", "last"] = "best",
        eot: int = 1,
        margin: float = 50.0,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None: ...

class NIFGSM(AdversaryAttack):
    """Gradient ascent with Nesterov's look-ahead, compiled.

    Parameters are those of ART's `MomentumIterativeMethod`, with the steps of the paper for
    defaults.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model.
        norm: np.inf, "inf", 2.
        eps: number >= 0, radius of the ball in the units of `clip_values`.
        eps_step: number > 0, length of a step.
        decay: number >= 0, of the momentum (the paper's mu).
        max_iter: int >= 1, forward-backward passes.
        targeted: labels are the classes wanted, and the loss is descended.
        batch_size: int >= 1, images at once.
        seed: int >= 0; None draws it from NumPy's global state at each `generate`, as ART's own
            attacks do.
        verbose: show a progress bar on stderr; without it nothing is shown.

    Lengths are in the estimator's own pixel units, those of its `clip_values`.

    Raises:
        InputError: on an estimator or a parameter that will not do.

    Example:
        >>> attack = NIFGSM(estimator)
        >>> attack.generate(x, y).shape == x.shape
        True

    Reference: Lin et al., ICLR 2020, "Nesterov accelerated gradient and scale invariance for
        adversarial attacks", Eqs 6 and 7, Algorithm 1 without its copies of smaller scale.
    Differs: in L2 the step has length a; the point ahead is not cut to the pixel range, as there.
    """

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = ...,
        eps: float = 0.3,
        eps_step: float = 0.03,
        decay: float = 1.0,
        max_iter: int = 10,
        targeted: bool = False,
        batch_size: int = 32,
        *,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None: ...

class RayS(AdversaryAttack):
    """The nearest boundary along a ray of signs, in Linf; asks for predicted classes only.

    Nothing is random. `result` holds the distance and the queries of each image after
    `generate`, distances in [0, 1] pixel units.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model.
        eps: number >= 0 in the units of `clip_values`: an image is handed back changed only if its
            change is within `eps` in Linf. None hands back the nearest one found.
        max_iter: int >= 1, labels asked for each image.
        batch_size: int >= 1, images at once.
        early_stop: an image within `eps` is left alone from then on; false goes on to the end
            of the budget, for the smallest distance. Without `eps` none stops.
        seed: int >= 0; None draws it from NumPy's global state at each `generate`, as ART's own
            attacks do.
        verbose: show a progress bar on stderr; without it nothing is shown.

    Lengths are in the estimator's own pixel units, those of its `clip_values`.

    Raises:
        InputError: on an estimator or a parameter that will not do.

    Example:
        >>> attack = RayS(estimator)
        >>> attack.generate(x, y).shape == x.shape
        True

    Reference: Chen and Gu, KDD 2020, Algorithms 2 and 3; the hierarchical search, starting
        from s = +1 with the whole flipped, as in their batch code.
    Differs: the budget is kept to the query, where theirs ends with a candidate; an image
        that is misclassified as it is has distance 0 and is not searched.
    """

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        eps: float | None = 0.3,
        max_iter: int = 10000,
        batch_size: int = 128,
        *,
        early_stop: bool = True,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None: ...

class StandardAutoAttack(AdversaryAttack):
    """The official AutoAttack: APGD, targeted APGD, targeted FAB, Square, one after another.

    Images that survive all of them, and those that were wrong from the start, come back as they
    were. `result` holds what each attack did, and reasons to doubt the number, after
    `generate`.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model.
        norm: np.inf, "inf", 2.
        eps: number >= 0, radius of the ball in the units of `clip_values`.
        version: "standard", "plus" (more of everything), or "rand" for a classifier that
            answers at random.
        batch_size: int >= 1, images at once.
        max_iter: int >= 1, iterations of each APGD and FAB run.
        nb_targets: int >= 1, classes aimed at: those next to the label in the clean logits.
        queries: int >= 1, of Square.
        eot: int >= 1, passes averaged at each step of version "rand", and to judge its images;
            the others take one.
        seed: int >= 0; None draws it from NumPy's global state at each `generate`, as ART's own
            attacks do.
        verbose: show a progress bar on stderr; without it nothing is shown.

    Lengths are in the estimator's own pixel units, those of its `clip_values`.

    Raises:
        InputError: on an estimator or a parameter that will not do.

    Example:
        >>> attack = StandardAutoAttack(estimator)
        >>> attack.generate(x, y).shape == x.shape
        True

    Reference: Croce and Hein, ICML 2020.
    Differs: see `plan`, `AdaptiveAscent`, `FastAdaptiveBoundary` and `Square`; the images of
        version "rand" are judged by mean logits, in their code by one pass; random numbers
        belong to an image's place in its batch, theirs to one stream.
        ART's `AutoAttack` is another suite: untargeted APGD, DeepFool and Square.
    """

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = ...,
        eps: float = 0.3,
        version: Literal["standard", "plus", "rand"] = "standard",
        batch_size: int = 128,
        *,
        max_iter: int = 100,
        nb_targets: int = 9,
        queries: int = 5000,
        eot: int = 20,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None: ...
