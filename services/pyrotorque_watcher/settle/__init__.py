"""Follows loaded items until rTorrent's session holds them, and only then disposes of their metafiles."""
