"""The library all services, and authors of jobs, import: it promises to do nothing at import."""
