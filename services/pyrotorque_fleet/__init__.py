"""The fleet: shows this group to other groups over NATS, and them to this one; runs only with `fleet.servers`."""
