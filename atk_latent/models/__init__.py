"""Classifiers, generators and discriminators; where a model is cut at its latent layer."""
