"""`python -m pyrotorque_panel --config-dir DIR`: the panel, as supervisord starts it."""

import sys

from pyrotorque.service.lifecycle import ServiceStart, service_main


def main() -> int:
    """The exit code of the service."""
    return service_main("panel", _run)


def _run(start: ServiceStart) -> int:
    from pyrotorque_panel.service import run  # after the SIGTERM handler is installed

    return run(start)


if __name__ == "__main__":
    sys.exit(main())
