"""How far an engine may be from PyTorch: one table, for builds and tests alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """What counts as the same network.

    Attributes:
        logits: largest difference of any logit, as a share of the standard deviation of all
            logits of the picture.
        agreement: smallest share of pixels whose class is the same.
    """

    logits: float
    agreement: float


#: By precision of the engine, against PyTorch in FP32. FP32 runtimes differ in the order of sums
#: only. FP16 has 11 bits, lost again in every layer, and rounding may move the maximum of a pooling
#: window, which moves single unpooled values whole. Measured on three drawn frames at worst, logits
#: and agreement: trained segnet on OpenVINO 0.23 and 99.8 %, in TensorRT's network, computed with
#: every layer's output rounded, 1.07 and 98.3 %; segnet_lite on OpenVINO 0.5 and 99.7 %;
#: deeplab_v3plus_lite, which has no indices, 0.05 and 99.8 % in both.
TOLERANCES = {
    "fp32": Tolerance(logits=0.01, agreement=0.99),
    "fp16": Tolerance(logits=1.5, agreement=0.97),
}
