"""Trained parts to a bundle: ONNX graph, GGUF, manifest, parity; needs the extra `export`."""
