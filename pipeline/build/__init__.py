"""From a network to a verified engine, or to a bundle that another machine builds from."""
