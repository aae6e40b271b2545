"""What runs on an NVIDIA GPU beside TensorRT, and how it is reached.

``gpu`` is the interface, ``driver`` makes it with pycuda, ``nvrtc`` compiles for it, ``painting``
draws on it, ``presence`` finds out whether there is one. Only ``driver`` needs pycuda.
"""

from __future__ import annotations
