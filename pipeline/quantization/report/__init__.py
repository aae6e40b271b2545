"""What is said of an INT8 engine: in its manifest, and on the page beside it."""
