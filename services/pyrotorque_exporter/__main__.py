"""`python -m pyrotorque_exporter --config-dir DIR`: the exporter as supervisord starts it."""

import sys

from pyrotorque.lifecycle import service_main
from pyrotorque_exporter.service import run


def main() -> int:
    """The exit code of the service."""
    return service_main("exporter", run)


if __name__ == "__main__":
    sys.exit(main())
