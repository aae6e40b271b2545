"""This commit against a base commit, on this machine and in this run (docs/decisions/013-fps-gate.md)."""
