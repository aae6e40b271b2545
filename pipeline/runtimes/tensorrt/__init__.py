"""TensorRT and TensorRT for RTX, through ONNX or torch-tensorrt, and what runs beside them."""
