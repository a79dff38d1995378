"""Ratios measured side by side in one run; one file a claim."""
