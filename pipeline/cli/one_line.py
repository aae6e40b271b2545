"""A parser that tells wrong usage in one line, with the option that was probably meant."""

from __future__ import annotations

import argparse
from typing import NoReturn


class OneLineParser(argparse.ArgumentParser):
    """Parser of the command line and, as argparse makes them, of its commands."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with status 2."""
        self.exit(2, f"error: {' '.join(message.split())}; '{self.prog} --help' lists the usage\n")
