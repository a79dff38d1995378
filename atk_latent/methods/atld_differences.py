"""Where ATLD's paper and its published code differ; imports nothing, so lists can show it.

The presets "quick" and "stable" go by the paper; "stable" has a divergence term of its own, the
mean squared difference of the logits.
"""

from __future__ import annotations

# What, in the paper (preset "paper"), in the code (preset "official"), the settings that choose.
DIFFERENCES: tuple[tuple[str, str, str, str], ...] = (
    ("the discriminator sees", "features of the last hidden layer", "the logits", "latent"),
    (
        "the classifier's divergence term",
        "L_d0 through the discriminator",
        "mean squared difference scaled by a ratio of gradients, without the discriminator",
        "theta_term, coefficient",
    ),
    (
        "crafting starts at",
        "the clean image",
        "a random point of the ball, not clipped to the legal pixels",
        "random_start, clip_start",
    ),
    ("discriminator updates a batch", "1", "2", "d_steps"),
    (
        "discriminator's learning rate",
        "as the classifier's",
        "1e-3, constant",
        "discriminator_learning_rate, discriminator_decay",
    ),
    ("labels of the discriminator's class head", "hard", "smoothed by 0.5", "class_head_smoothing"),
    (
        "clean latents",
        "not discussed; here of one training batch with the adversarial ones",
        "constants of the network in inference mode",
        "clean_latents",
    ),
    (
        "the discriminator while crafting",
        "not discussed; here in inference mode",
        "in training mode, clean and adversarial batches apart",
        "discriminator_mode, discriminator_batches",
    ),
    (
        "crafting moves the discriminator's running statistics",
        "not discussed; here no",
        "yes: the clean batch, then the one that crafting starts at",
        "crafting_moves_statistics",
    ),
    (
        "the discriminator learns from",
        "not discussed; here one joint batch",
        "the adversarial batch, then the clean one: its running statistics lean to clean",
        "discriminator_first_batch",
    ),
    (
        "clean images move the classifier's batch-norm statistics",
        "not discussed; here in every batch, beside the adversarial ones",
        "at every tenth batch, by a forward pass that logs an accuracy",
        "clean_pass_every",
    ),
    ("SVHN's learning rate", "0.1", "0.01", "learning_rate"),
    (
        "SVHN's IMT+",
        "half as far for p in (0.3, 0.7)",
        (
            "in (0.3, 0.7) for images as they come, (0.3, 0.6) for attacked ones, and half the "
            "radius; a deployed model cannot tell them apart and has (0.3, 0.6)"
        ),
        "imt_high, imt_clean_high, imt_scale_radius",
    ),
    (
        "IMT's step on images attacked by FGSM",
        "8/255, as on all others",
        "32/255, cut to 8/255, so that ATLD+ is ATLD there",
        "imt_fgsm_factor",
    ),
    ("the discriminator's 1 means", "adversarial", "clean (here, too)", "-"),
    ("log terms", '"1 - log D", read as log(1 - D)', "binary cross-entropy", "-"),
)
