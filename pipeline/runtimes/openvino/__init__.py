"""OpenVINO, on a CPU: the default where there is no NVIDIA GPU. Only ``core`` imports it."""
