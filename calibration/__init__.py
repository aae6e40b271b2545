"""Road-scene data, scores, and the numbers that INT8 needs. Nothing here needs a runtime."""
