"""`python -m pyrotorque_scheduler --config-dir DIR`, as supervisord starts it."""

import sys

from pyrotorque.service.lifecycle import ServiceStart, service_main


def main() -> int:
    return service_main("scheduler", _run)


def _run(start: ServiceStart) -> int:
    from pyrotorque_scheduler.service import run  # imported late: SIGTERM is handled from the first moment

    return run(start)


if __name__ == "__main__":
    sys.exit(main())
