"""The graph that is deployed: in FP32, in FP16, with Q/DQ pairs, or imported from an ONNX file."""
