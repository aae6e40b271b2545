"""The page about all networks, ``docs/models.md``, and its measurements."""
