"""Speed against accuracy, of every network with weights, in one run."""
