"""Which convolutions run in INT8, and how they are annotated for PT2E."""
