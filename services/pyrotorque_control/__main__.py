"""The `pyrotorque` command."""

import sys


def main() -> int:
    """Run the command line and return its exit code; `--cron` is handled before other modules are imported."""
    arguments = sys.argv[1:]
    if "--cron" in arguments:
        from pyrotorque_control.cron import answer

        if (code := answer(arguments)) is not None:
            return code
    from pyrotorque_control.cli import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
