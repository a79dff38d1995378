"""Inner maximisation: tensors in, tensors out, no optimizer, no ART."""
