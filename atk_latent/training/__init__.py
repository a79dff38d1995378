"""From data to a run folder: the pipeline, its folder, sets of adversarial images."""
