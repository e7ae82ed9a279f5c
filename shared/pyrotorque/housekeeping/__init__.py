"""Removes items and their data, and only where facts, read again when acting, show that nothing else has them."""
