"""The gate that no loss of speed gets through: ``scripts/check_fps.sh``."""
