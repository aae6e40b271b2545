"""Class sets: the names and colours of a network's channels, and the label value for void."""

from __future__ import annotations

from dataclasses import dataclass

#: Class maps are bytes.
MOST_CLASSES = 256
#: Names appear in legends and in every manifest.
_LONGEST_NAME = 200

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


def check_classes(classes: ClassSet) -> None:
    """Check a class set that a file states.

    Raises:
        ValueError: no class or more than 256, an invalid colour, or a name that is too long.
    """
    if not 1 <= len(classes) <= MOST_CLASSES:
        raise ValueError(f"{len(classes)} classes, expected 1 to {MOST_CLASSES}")
    values = [value for colour in classes.palette for value in colour]
    if min(values) < 0 or max(values) > 255 or not 0 <= classes.void <= 255:
        raise ValueError("a colour or the void value is no byte")
    if max(map(len, classes.names)) > _LONGEST_NAME:
        raise ValueError(f"the name of a class has more than {_LONGEST_NAME} characters")


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

#: The 19 evaluated classes of Cityscapes (Cordts et al. 2016) by training id; names and colours are
#: those of the data set's own scripts.
CITYSCAPES = ClassSet(
    names=(
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    ),
    palette=(
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
)


def voc_colour(index: int) -> RGB:
    """Return colour ``index`` of PASCAL VOC's palette, in which neighbours differ strongly.

    The bits of the index go to red, green and blue in turn, from the highest bit of each on.
    """
    red = green = blue = 0
    for bit in range(7, -1, -1):
        red |= (index & 1) << bit
        green |= (index >> 1 & 1) << bit
        blue |= (index >> 2 & 1) << bit
        index >>= 3
    return red, green, blue


_VOC_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
    *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)

#: PASCAL VOC (Everingham et al. 2010): 20 kinds of things, and the background before them.
VOC = ClassSet(_VOC_NAMES, tuple(voc_colour(index) for index in range(len(_VOC_NAMES))))

#: Class sets that need no file, by the names that ``--classes`` takes.
BUILT_IN = {"camvid": CAMVID, "cityscapes": CITYSCAPES, "voc": VOC}
