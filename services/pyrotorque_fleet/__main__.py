"""`python -m pyrotorque_fleet --config-dir DIR`: the fleet process, as supervisord starts it."""

import sys

from pyrotorque.service.lifecycle import ServiceStart, service_main


def main() -> int:
    """The exit code of the service."""
    return service_main("fleet", _run)


def _run(start: ServiceStart) -> int:
    from pyrotorque_fleet.service import run  # after the SIGTERM handler is installed

    return run(start)


if __name__ == "__main__":
    sys.exit(main())
