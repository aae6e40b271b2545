"""Access to an NVIDIA GPU besides TensorRT.

``gpu`` is the interface, ``driver`` implements it with pycuda, ``nvrtc`` compiles kernels,
``painting`` draws, ``presence`` finds out whether there is a GPU. Only ``driver`` needs pycuda.
"""

from __future__ import annotations
