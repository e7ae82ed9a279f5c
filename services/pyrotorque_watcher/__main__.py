"""The watcher as supervisord starts it: `python -m pyrotorque_watcher --config-dir DIR`."""

import sys

from pyrotorque.service.lifecycle import ServiceStart, service_main


def main() -> int:
    return service_main("watcher", _run)


def _run(start: ServiceStart) -> int:
    from pyrotorque_watcher.service import run  # only now, when SIGTERM is handled

    return run(start)


if __name__ == "__main__":
    sys.exit(main())
