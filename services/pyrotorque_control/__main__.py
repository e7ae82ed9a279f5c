"""The `pyrotorque` command."""

import sys


def main() -> int:
    """Run the command line and return its exit code; `--cron` is handled before other modules are imported."""
    try:
        from pyrotorque.interpreter import prepare_command  # Ctrl-C may come while modules are imported

        prepare_command()
    except KeyboardInterrupt:
        return _interrupted()
    return run(sys.argv[1:])


def run(arguments: list[str]) -> int:
    """Run these words; `prepare_command` was called."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return _interrupted()
    except (MemoryError, ImportError) as error:  # while modules are imported
        from pyrotorque.foreign_errors import explain

        if (found := explain(error)) is None:
            raise
        print(f"pyrotorque: {found.text}", file=sys.stderr)
        return found.exit_code


def _run(arguments: list[str]) -> int:
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


def _interrupted() -> int:
    from pyrotorque_control.exit_codes import INTERRUPTED

    return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
