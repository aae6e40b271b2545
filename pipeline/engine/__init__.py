"""An engine on disk: its manifest, how it is published, and where it runs."""

from pipeline.engine.manifest import Engine, Manifest, load_engine

__all__ = ["Engine", "Manifest", "load_engine"]
