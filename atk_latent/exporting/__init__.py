"""Classifiers as files for other programs: SavedModel, ONNX, TFLite."""
