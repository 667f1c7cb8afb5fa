"""Training of the adapter between frozen backbones; needs the extra `train`."""
