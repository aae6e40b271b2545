"""This commit against a base commit, on one machine in one run (docs/decisions/013-fps-gate.md)."""
