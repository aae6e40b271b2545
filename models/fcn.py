"""FCN-32s, FCN-16s and FCN-8s (Long, Shelhamer and Darrell, CVPR 2015, arXiv:1411.4038).

VGG16 whose fully connected layers became convolutions (fc6 7x7, fc7 1x1, 4096 channels each), a
1x1 score layer, and transposed convolutions that start as bilinear interpolation. FCN-16s adds a
score of pool4 at stride 16 before the last upsampling, FCN-8s one of pool3 as well. 134 M
parameters (the paper's Table 1).

Deviations: the Caffe network pads the picture by 100 pixels and crops, which makes the coarse map
larger and shifts the crops; here fc6 is padded by 3, so every map lies over the picture. The
score layers of the skips start at zero, as the paper trains them on top of the coarser network.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.blocks import ConvReLU
from models.classes import ClassSet
from models.upsampling import BilinearUpsampling
from models.vgg import FULLY_CONNECTED, VGG16, scaled_channels


class FCN(nn.Module):
    """FCN with skips down to ``stride``.

    Args:
        classes: number of output channels.
        stride: 32, 16 or 8: that of the finest score layer.
        width: factor on every channel count; 1.0 is the paper's network.
    """

    def __init__(self, classes: int, stride: int, width: float = 1.0) -> None:
        super().__init__()
        channels = scaled_channels(width)
        fully = round(FULLY_CONNECTED * width)
        self.encoder = VGG16(width=width)
        self.fc6 = ConvReLU(channels[4], fully, kernel=7)
        self.fc7 = ConvReLU(fully, fully, kernel=1)
        self.dropout = nn.Dropout(0.5)
        self.score = nn.Conv2d(fully, classes, 1)
        # Pool4 and pool3, coarsest first.
        skips = {32: [], 16: [channels[3]], 8: [channels[3], channels[2]]}[stride]
        self.skip_scores = nn.ModuleList(_zero_score(inputs, classes) for inputs in skips)
        self.skip_upsamplings = nn.ModuleList(BilinearUpsampling(classes, 2) for _ in skips)
        self.upsampling = BilinearUpsampling(classes, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        *earlier, last = self.encoder(x)
        y = self.dropout(self.fc6(last))
        y = self.score(self.dropout(self.fc7(y)))
        for score, upsampling in zip(self.skip_scores, self.skip_upsamplings, strict=True):
            skip = score(earlier.pop())
            y = upsampling(y, skip) + skip
        logits: Tensor = self.upsampling(y, x)
        return logits


def _zero_score(inputs: int, classes: int) -> nn.Conv2d:
    score = nn.Conv2d(inputs, classes, 1)
    nn.init.zeros_(score.weight)
    nn.init.zeros_(score.bias)  # type: ignore[arg-type]  # Conv2d has a bias here
    return score


def build_fcn(classes: ClassSet, stride: int, width: float = 1.0) -> FCN:
    """Build an FCN with one output channel per class, weights random."""
    return FCN(len(classes), stride, width)
