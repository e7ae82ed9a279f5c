"""Shim: a scheduler of 1.0.0 that is still running starts its workers by this name; see `pyrotorque.workers.child`."""

import sys

from pyrotorque.workers.child import main

if __name__ == "__main__":
    sys.exit(main())
