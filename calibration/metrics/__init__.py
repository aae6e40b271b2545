"""How good a class map is: mIoU, boundaries, small regions, steadiness."""
