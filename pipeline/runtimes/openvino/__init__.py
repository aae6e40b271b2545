"""OpenVINO, on a CPU: the default where there is no NVIDIA GPU. ``core`` alone imports it."""
