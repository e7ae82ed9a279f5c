"""Removes items and their data, and only where facts, read again when acting, show that nothing else has them."""

from typing import Final

FOLDER: Final = "housekeeping"
"""In the state folder: what all housekeeping of a group shares."""
