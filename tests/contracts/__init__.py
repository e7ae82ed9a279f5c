"""The same promise tested over the fake and the real thing."""
