"""Where ATLD's paper and its published code differ; imports nothing, so lists can show it."""

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
    ("crafting starts at", "the clean image", "a random point of the ball", "random_start"),
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
    ("SVHN's learning rate", "0.1", "0.01", "learning_rate"),
    (
        "SVHN's IMT+",
        "half as far for p in (0.3, 0.7)",
        "in (0.3, 0.6), and half the radius",
        "imt_*",
    ),
    ("the discriminator's 1 means", "adversarial", "clean (here, too)", "-"),
    ("log terms", '"1 - log D", read as log(1 - D)', "binary cross-entropy", "-"),
)
