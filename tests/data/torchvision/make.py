"""Makes the reference files next to it with torchvision's own networks; only tests need them.

``PYTHONPATH=tests/support python tests/data/torchvision/make.py``, in an environment where
torchvision can be imported (made here with torch 2.14.1 and torchvision 0.29.1). For each network:

- ``NAME.keys``: a line ``KEY SIZES`` for every tensor of its state dict at 21 classes, auxiliary
  head included, in torchvision's order;
- ``logits.npz``: for each name, every 8th logit each way of :func:`picture` under the weights
  :func:`state`, (21, 9, 7) FP32.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torchvision.models import segmentation
from torchvision_values import STEP, picture, state

HERE = Path(__file__).parent
NAMES = ("deeplabv3_resnet50", "deeplabv3_resnet101", "fcn_resnet50", "fcn_resnet101")


def main() -> None:
    logits = {}
    for name in NAMES:
        network = getattr(segmentation, name)(
            weights=None, weights_backbone=None, num_classes=21, aux_loss=True
        ).eval()
        sizes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        lines = [f"{key} {' '.join(map(str, size))}".rstrip() for key, size in sizes.items()]
        (HERE / f"{name}.keys").write_text("\n".join(lines) + "\n", encoding="utf-8")
        network.load_state_dict(state(sizes))
        with torch.no_grad():
            logits[name] = network(picture())["out"][0, :, ::STEP, ::STEP].numpy()
    np.savez_compressed(HERE / "logits.npz", **logits)


if __name__ == "__main__":
    main()
