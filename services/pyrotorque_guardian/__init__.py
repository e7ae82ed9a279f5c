"""The guardian: supervisord's event listener, which restarts failed services and kills hung ones."""
