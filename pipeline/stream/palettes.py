"""Colours of the classes on overlays and on the page.

CamVid's published colours are hard to tell apart where it matters: Car and Road differ by 38 CIELAB
units, Road and Fence by 23, and for a deuteranope Pedestrian and Building by 6. Masks keep the
published colours, since programs read classes from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from models.classes import CAMVID, RGB, ClassSet
from pipeline.errors import SinkError

#: Name -> colour by class name. ``clear`` is the default: any two classes differ by 35 units at
#: least, Car and Road by 63. ``cityscapes`` has that data set's colours. In ``colourblind`` any two
#: classes differ by 21 at least, also for deuteranopes and protanopes.
PALETTES: Mapping[str, Mapping[str, RGB]] = {
    "clear": {
        "Sky": (70, 130, 180),
        "Building": (90, 90, 90),
        "Pole": (215, 215, 215),
        "Road": (128, 64, 128),
        "Pavement": (244, 35, 232),
        "Tree": (70, 160, 50),
        "SignSymbol": (250, 220, 0),
        "Fence": (190, 120, 70),
        "Car": (0, 90, 255),
        "Pedestrian": (255, 20, 50),
        "Bicyclist": (255, 140, 0),
    },
    "camvid": dict(zip(CAMVID.names, CAMVID.palette, strict=True)),
    "cityscapes": {
        "Sky": (70, 130, 180),
        "Building": (70, 70, 70),
        "Pole": (153, 153, 153),
        "Road": (128, 64, 128),
        "Pavement": (244, 35, 232),
        "Tree": (107, 142, 35),
        "SignSymbol": (220, 220, 0),
        "Fence": (190, 153, 153),
        "Car": (0, 0, 142),
        "Pedestrian": (220, 20, 60),
        "Bicyclist": (255, 0, 0),
    },
    "colourblind": {
        "Sky": (136, 204, 238),
        "Building": (90, 90, 90),
        "Pole": (221, 221, 221),
        "Road": (51, 34, 136),
        "Pavement": (204, 121, 167),
        "Tree": (10, 185, 75),
        "SignSymbol": (255, 255, 39),
        "Fence": (132, 96, 53),
        "Car": (0, 114, 255),
        "Pedestrian": (250, 61, 0),
        "Bicyclist": (238, 182, 0),
    },
}
DEFAULT = "clear"


def drawn_classes(classes: ClassSet, palette: str | None = None) -> ClassSet:
    """Return ``classes`` with the colours that they are drawn in.

    Args:
        classes: of the network.
        palette: one of ``PALETTES``; None for the default with CamVid's classes and published
            colours, and for the class set's own colours otherwise.

    Raises:
        SinkError: there is no such palette, or it has no colour for a class.
    """
    if palette is None and classes != CAMVID:
        return classes
    if (palette or DEFAULT) not in PALETTES:
        raise SinkError(f"there is no palette {palette}; give {', '.join(PALETTES)}")
    colours = PALETTES[palette or DEFAULT]
    unknown = [name for name in classes.names if name not in colours]
    if unknown:
        raise SinkError(
            f"--palette {palette} has colours for {', '.join(CAMVID.names)}, and none for "
            f"{unknown[0]}; drop it to draw the class file's own colours"
        )
    return replace(classes, palette=tuple(colours[name] for name in classes.names))


def hidden_classes(classes: ClassSet, shown: tuple[str, ...] | None) -> frozenset[int]:
    """Return the indices of classes that are not to be drawn; None for ``shown`` draws all.

    Raises:
        SinkError: there is no class of a name.
    """
    if shown is None:
        return frozenset()
    by_name = {name.lower(): index for index, name in enumerate(classes.names)}
    unknown = [name for name in shown if name.lower() not in by_name]
    if unknown:
        raise SinkError(
            f"--show {unknown[0]} was given, the network knows {', '.join(classes.names)}"
        )
    return frozenset(range(len(classes))) - {by_name[name.lower()] for name in shown}
