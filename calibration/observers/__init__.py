"""What passes through a tensor: histograms of its values, and where to clip them."""
