"""`python -m pyrotorque_scheduler --config-dir DIR`, as supervisord starts it."""

import sys

from pyrotorque.lifecycle import Start, service_main


def main() -> int:
    return service_main("scheduler", _run)


def _run(start: Start) -> int:
    from pyrotorque_scheduler.service import run  # only now, when TERM ends us well

    return run(start)


if __name__ == "__main__":
    sys.exit(main())
