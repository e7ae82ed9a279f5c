"""`python -m pyrotorque_fleet --config-dir DIR`: the fleet process, as supervisord starts it."""

import sys

from pyrotorque.errors import SettingsError
from pyrotorque.service.lifecycle import ServiceStart, service_main


def main() -> int:
    """The exit code of the service."""
    return service_main("fleet", _run)


def _run(start: ServiceStart) -> int:
    try:
        from pyrotorque_fleet.service import run  # after the SIGTERM handler is installed
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "nats":
            raise
        raise SettingsError("fleet.servers needs the package nats-py: pip install 'pyrotorque[fleet]'") from error
    return run(start)


if __name__ == "__main__":
    sys.exit(main())
