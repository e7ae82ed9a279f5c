"""The watcher as supervisord starts it: `python -m pyrotorque_watcher --config-dir DIR`."""

import sys

from pyrotorque.lifecycle import Start, service_main


def main() -> int:
    return service_main("watcher", _run)


def _run(start: Start) -> int:
    from pyrotorque_watcher.living import run  # only now, when TERM ends us well

    return run(start)


if __name__ == "__main__":
    sys.exit(main())
