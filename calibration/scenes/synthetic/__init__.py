"""An endless synthetic drive with exact labels, for machines without a camera or data.

One frame goes through these modules, in this order::

    street   what stands where along the road: a pure function of (seed, place)
    traffic  what moves, and where it is at a time: a pure function of (seed, time)
    camera   position of the camera car, and the projection onto its picture
    light, sky   the weather; the sky and the distant town
    ground, shading   road, pavements, lane marks; texture and shadows on them
    objects, vehicles   everything that stands or drives, from far to near (facades and sprites
             hold the drawings of house fronts, fences, trees and people)
    photo    effects of lens and sensor (on the picture only, not on the labels)

Picture and labels are four channels of one array (``canvas``): every stroke writes its colour and
its class into the same pixels, so labels are exact.
"""

from __future__ import annotations

from calibration.scenes.synthetic.drive import SyntheticDrive

__all__ = ["SyntheticDrive"]
