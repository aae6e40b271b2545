"""Label forms of other data sets: the class that each value or colour stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.classes import CAMVID, CITYSCAPES, RGB, VOC, ClassSet, voc_colour

_VOID = 255


@dataclass(frozen=True)
class LabelKind:
    """A form of labels.

    Attributes:
        name: as on the command line.
        classes: that they are converted to.
        colours: RGB -> class index or void, of label pictures in colour.
        values: stored value -> class index or void, of label pictures with one channel.
    """

    name: str
    classes: ClassSet
    colours: Mapping[RGB, int] = field(default_factory=dict)
    values: Mapping[int, int] = field(default_factory=dict)


#: CamVid's own 32 classes and their colours, by the class of the 11 that each is counted as.
_CAMVID: dict[str, dict[str, RGB]] = {
    "Sky": {"Sky": (128, 128, 128)},
    "Building": {
        "Building": (128, 0, 0),
        "Archway": (192, 0, 128),
        "Bridge": (0, 128, 64),
        "Tunnel": (64, 0, 64),
        "Wall": (64, 192, 0),
    },
    "Pole": {"Column_Pole": (192, 192, 128), "TrafficCone": (0, 0, 64)},
    "Road": {
        "Road": (128, 64, 128),
        "LaneMkgsDriv": (128, 0, 192),
        "LaneMkgsNonDriv": (192, 0, 64),
    },
    "Pavement": {
        "Sidewalk": (0, 0, 192),
        "ParkingBlock": (64, 192, 128),
        "RoadShoulder": (128, 128, 192),
    },
    "Tree": {"Tree": (128, 128, 0), "VegetationMisc": (192, 192, 0)},
    "SignSymbol": {
        "SignSymbol": (192, 128, 128),
        "Misc_Text": (128, 128, 64),
        "TrafficLight": (0, 64, 64),
    },
    "Fence": {"Fence": (64, 64, 128)},
    "Car": {
        "Car": (64, 0, 128),
        "SUVPickupTruck": (64, 128, 192),
        "Truck_Bus": (192, 128, 192),
        "Train": (192, 64, 128),
        "OtherMoving": (128, 64, 64),
    },
    "Pedestrian": {
        "Pedestrian": (64, 64, 0),
        "Child": (192, 128, 64),
        "CartLuggagePram": (64, 0, 192),
        "Animal": (64, 128, 64),
    },
    "Bicyclist": {"Bicyclist": (0, 128, 192), "MotorcycleScooter": (192, 0, 192)},
}


def _camvid() -> LabelKind:
    """CamVid's own 32 classes, grouped as the 11-class split of the SegNet papers does."""
    colours = {
        colour: CAMVID.names.index(name)
        for name, members in _CAMVID.items()
        for colour in members.values()
    }
    values = {index: index for index in range(len(CAMVID) + 1)}
    return LabelKind("camvid", CAMVID, {**colours, (0, 0, 0): CAMVID.void}, values)


#: Ids of Cityscapes' 19 classes, in the order of their train ids.
_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
#: Colours of its classes that are not evaluated: parking, bridge, caravan, trailer and so on.
_UNTRAINED: tuple[RGB, ...] = (
    (0, 0, 0), (111, 74, 0), (81, 0, 81), (250, 170, 160), (230, 150, 140), (180, 165, 180),
    (150, 100, 100), (150, 120, 90), (0, 0, 90), (0, 0, 110),
)  # fmt: skip


def _cityscapes() -> tuple[LabelKind, LabelKind]:
    colours = _own_colours(CITYSCAPES) | dict.fromkeys(_UNTRAINED, _VOID)
    ids = dict.fromkeys((*range(34), _VOID), _VOID)
    ids |= {number: index for index, number in enumerate(_CITYSCAPES_IDS)}
    train_ids = {**{index: index for index in range(len(CITYSCAPES))}, _VOID: _VOID}
    return (
        LabelKind("cityscapes", CITYSCAPES, colours, ids),
        LabelKind("bdd100k", CITYSCAPES, colours, train_ids),
    )


def _voc() -> LabelKind:
    values = {**{index: index for index in range(len(VOC))}, _VOID: _VOID}
    return LabelKind("voc", VOC, _own_colours(VOC) | {voc_colour(_VOID): _VOID}, values)


def _own_colours(classes: ClassSet) -> dict[RGB, int]:
    return {colour: index for index, colour in enumerate(classes.palette)}


def _binary() -> LabelKind:
    classes = ClassSet(("other", "road"), ((0, 0, 0), (128, 64, 128)), _VOID)
    colours = {(0, 0, 0): 0, (255, 255, 255): 1}
    return LabelKind("binary", classes, colours, {0: 0, 1: 1, 255: 1})


#: By name; one row is one form.
LABEL_KINDS = {kind.name: kind for kind in (_camvid(), *_cityscapes(), _voc(), _binary())}


def coloured(classes: ClassSet) -> LabelKind:
    """Return the form of labels that are drawn in the colours of a class file."""
    colours = _own_colours(classes)
    colours.setdefault((0, 0, 0), classes.void)
    return LabelKind("colours", classes, colours)
