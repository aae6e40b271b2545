"""Engines on a Triton Inference Server: the export for it, and the session that uses it.

Only ``client`` and ``buffers`` import Triton's client.
"""
