"""``tau-stage`` and ``python -m tau_stage``: an interruption has no traceback, even while the program loads."""

import gc
import os
import sys

YOUNG_OBJECTS = 20_000
"""Of what is made, so much until garbage is looked for: modules, schemas and price lists are none."""

NO_PLUGINS = "PYDANTIC_DISABLE_PLUGINS"
"""Lets pydantic look for no plugins, which reads what is installed: a twentieth of the time to begin."""


def main() -> None:
    """Run ``tau-stage`` by the command line of the process, and leave with an exit code of ``docs/takes.md``."""
    gc.set_threshold(YOUNG_OBJECTS)
    os.environ.setdefault(NO_PLUGINS, "__all__")
    try:
        from tau_stage.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
