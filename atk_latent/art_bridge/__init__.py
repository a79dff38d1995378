"""The only importer of `art`: estimator, trainers and attacks."""
