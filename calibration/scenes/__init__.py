"""Road scenes: labelled folders, class files, videos, and the synthetic drive."""
