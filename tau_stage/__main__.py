"""``tau-stage`` and ``python -m tau_stage``: an interruption has no traceback, even while the program loads."""

import sys


def main() -> None:
    """Run ``tau-stage`` by the command line of the process.

    Raises:
        SystemExit: Always, with an exit code of the README.
    """
    try:
        from tau_stage.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
