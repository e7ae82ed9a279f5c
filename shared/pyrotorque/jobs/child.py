"""Shim for `pyrotorque.workers.child`: a running scheduler of 1.0.0 starts workers by this name; remove with 2.0."""

import sys

from pyrotorque.workers.child import main

if __name__ == "__main__":
    sys.exit(main())
