"""The benchmarks' competitors compute the same network."""

from __future__ import annotations

import torch

from benchmarks.competitors import native, trained


def test_segnet_with_pytorchs_own_unpooling_gives_the_same_scores() -> None:
    ours, theirs = trained("segnet_lite")[0], native("segnet_lite")[0]
    pictures = torch.randn(1, 3, 72, 88)
    with torch.no_grad():
        torch.testing.assert_close(theirs(pictures), ours(pictures))
