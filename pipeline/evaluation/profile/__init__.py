"""What an engine costs on this machine, and what this machine could do: behind ``bench``."""
