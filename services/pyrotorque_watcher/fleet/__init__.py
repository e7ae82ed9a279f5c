"""Metafiles of the fleet: offers of those in trees, and those in the inbox, which are held until they are permitted."""
