"""Tables and figures; reads results, never runs a model."""
