"""INT8: calibrated on road scenes, compared with FP32, and refused where it loses too much."""
