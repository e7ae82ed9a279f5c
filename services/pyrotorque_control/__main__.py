"""The `pyrotorque` command."""

import sys

from pyrotorque.interpreter import prepare_command


def main() -> int:
    """Run the command line and return its exit code; `--cron` is handled before other modules are imported."""
    prepare_command()
    arguments = sys.argv[1:]
    if "--cron" in arguments:
        from pyrotorque_control.cron import answer

        try:
            if (code := answer(arguments)) is not None:
                return code
        except Exception as error:
            from pyrotorque_control.cli import report_error

            return report_error(error)
    from pyrotorque_control.cli import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
