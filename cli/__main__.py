"""`python -m atk_latent.cli`: the same as `atkl`."""

from .main import main

main()
