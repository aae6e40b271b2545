"""Class maps for other processes on this machine: their layout on a socket, and a reader."""
