"""The queue job: rules from the settings, the pure policy, one check over rTorrent, starts, and explanations."""
