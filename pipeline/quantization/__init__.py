"""INT8 that tells the truth: calibrated on road scenes, measured, and refused where it loses."""
