"""FCN on a dilated ResNet, as torchvision's ``fcn_resnet50`` and ``fcn_resnet101``.

FCN's idea (Long, Shelhamer and Darrell, CVPR 2015) on a newer encoder: ResNet at output stride 8, a
3x3 convolution to a quarter of the channels, dropout 0.1 and a 1x1 classifier, resized bilinearly.
There is no paper of this network; torchvision's weights load into it.

The names inside ``encoder`` (torchvision's ``backbone``) and ``head`` (its ``classifier``) are
torchvision's, shapes too.

Deviations: from the paper, no skips, no fully connected layers, and a resize instead of transposed
convolutions; from torchvision's network, no auxiliary head.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.classes import ClassSet
from models.resnet import ResNet
from models.upsampling import resized


class FCNResNet(nn.Module):
    """FCN on a ResNet.

    Args:
        encoder: dilated network, whose last map is read.
        classes: number of output channels.
    """

    def __init__(self, encoder: ResNet, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        inputs = encoder.channels.last
        self.head = nn.Sequential(
            nn.Conv2d(inputs, inputs // 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(inputs // 4),
            nn.ReLU(inplace=True),
            nn.Dropout(0.1),
            nn.Conv2d(inputs // 4, classes, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised pictures to (N, classes, H, W) logits."""
        return resized(self.head(self.encoder(x).last), x)


def build_fcn_resnet(classes: ClassSet, depth: int, width: float = 1.0) -> FCNResNet:
    """Build FCN on ResNet-50 or ResNet-101; ``width`` is a factor on all channels."""
    return FCNResNet(ResNet(depth, output_stride=8, width=width), len(classes))
