"""The panel: pages and a JSON API for people and programs, behind a login."""
