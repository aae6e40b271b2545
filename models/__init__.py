"""Segmentation networks for road scenes, one file per paper, and the table that names them."""
