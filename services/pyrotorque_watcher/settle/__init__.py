"""Follows loaded items until rTorrent's session holds them, and only then puts their metafiles away."""
