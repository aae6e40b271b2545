"""INT8: calibration on road scenes, and the accuracy gate, which compares it with FP32."""
