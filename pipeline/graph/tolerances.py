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
#: window, which moves single unpooled values whole. Measured on eight frames at worst, logits and
#: agreement, every layer's output rounded: trained segnet 0.25 and 99.7 %, segnet_lite 0.58 and
#: 99.6 %; deeplab_v3plus_lite, which has no indices, 0.07 and 99.8 %.
TOLERANCES = {
    "fp32": Tolerance(logits=0.01, agreement=0.99),
    "fp16": Tolerance(logits=1.0, agreement=0.99),
}
