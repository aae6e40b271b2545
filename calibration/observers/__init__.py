"""Histograms of activations, and the thresholds to clip them at."""
