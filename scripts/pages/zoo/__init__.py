"""The page about all networks, ``docs/models.md``, and the measurements that stand on it."""
