"""What the channels of a network mean: class names, palette, and the label value left out."""

from __future__ import annotations

from dataclasses import dataclass

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class ClassSet:
    """The classes of a data set.

    Attributes:
        names: one per output channel of the network, in index order.
        palette: RGB per class, 0..255, in the same order.
        void: label value without a class; left out of the loss and of every score.
    """

    names: tuple[str, ...]
    palette: tuple[RGB, ...]
    void: int = 255

    def __post_init__(self) -> None:
        if len(self.names) != len(self.palette):
            raise ValueError(
                f"{len(self.names)} class names but {len(self.palette)} colours; give one each"
            )

    def __len__(self) -> int:
        return len(self.names)


#: CamVid in the 11-class split of the SegNet papers (Brostow et al. 2009; Badrinarayanan et al.
#: 2017). Names, order and colours are those of the published SegNet tutorial.
CAMVID = ClassSet(
    names=(
        "Sky",
        "Building",
        "Pole",
        "Road",
        "Pavement",
        "Tree",
        "SignSymbol",
        "Fence",
        "Car",
        "Pedestrian",
        "Bicyclist",
    ),
    palette=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
    void=11,
)
