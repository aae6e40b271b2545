"""How much an engine may differ from PyTorch, in builds and tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Differences with which two networks count as the same.

    Attributes:
        logits: largest difference of any logit, as a share of the standard deviation of all
            logits of the picture.
        agreement: smallest share of pixels with the same class.
    """

    logits: float
    agreement: float


#: By precision of the engine, against PyTorch in FP32. FP32 runtimes differ only in the order of
#: sums. FP16 rounds to 11 bits in every layer, which may move the maximum of a pooling window, and
#: with it an unpooled value. Measured with every layer's output rounded, logits and agreement on
#: the worst of eight frames: trained segnet 0.25 and 99.7 %, segnet_lite 0.58 and 99.6 %;
#: deeplab_v3plus_lite, which does not unpool, 0.07 and 99.8 %.
TOLERANCES = {
    "fp32": Tolerance(logits=0.01, agreement=0.99),
    "fp16": Tolerance(logits=1.0, agreement=0.99),
}
