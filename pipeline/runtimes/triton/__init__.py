"""Engines on a Triton Inference Server: what it serves them from, and the session that asks it.

Only ``client`` and ``buffers`` import Triton's client.
"""
