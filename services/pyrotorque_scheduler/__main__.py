"""`python -m pyrotorque_scheduler --config-dir DIR`, as supervisord starts it."""

import sys

from pyrotorque.lifecycle import service_main
from pyrotorque_scheduler.service import SERVICE, run


def main() -> int:
    return service_main(SERVICE, run)


if __name__ == "__main__":
    sys.exit(main())
