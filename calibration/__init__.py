"""Road-scene data, scores, and INT8 calibration. Nothing here needs a runtime."""
