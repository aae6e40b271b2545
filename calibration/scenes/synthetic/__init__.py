"""An endless drawn drive with exact labels, for a machine without a camera and without data.

One frame goes through these modules, in this order::

    street   what stands where along the road: a pure function of (seed, place)
    traffic  what moves, and where it is at a time: a pure function of (seed, time)
    camera   where the car with the camera is, and how the world falls onto its picture
    light, sky   the weather; the sky and the town far away
    ground, shading   road, pavements, lane marks; texture and shadows on them
    objects, vehicles   all that stands or drives there, from far to near (facades and sprites
             hold the drawings of house fronts, fences, trees and people)
    photo    what a lens and a sensor add (on the picture only, never on the labels)

Picture and labels are four channels of one array (``canvas``), so that every stroke writes its
colour and its class into the same pixels: labels are exact because nothing could make them differ.
"""

from __future__ import annotations

from calibration.scenes.synthetic.drive import SyntheticDrive

__all__ = ["SyntheticDrive"]
