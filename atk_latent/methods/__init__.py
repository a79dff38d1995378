"""Outer minimisation: Keras models that wrap a classifier and train it."""
