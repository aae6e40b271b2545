"""What an engine is worth: accuracy, agreement, latency, and what a network looks at."""
