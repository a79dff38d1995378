"""Imports ART before any test runs a command."""

# Importing ART resets logging, and absl then closes the stream its handler was given: it must
# happen here, not while click's CliRunner has another stderr in place.
import atk_latent.art_bridge.estimator  # noqa: F401
