"""From a PyTorch module to segmented frames on a screen: build, calibrate, verify, stream."""
