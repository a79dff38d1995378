"""How robust a model is: attacks by name, subsets, result tables."""
