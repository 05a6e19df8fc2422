"""`python -m pointstore`: the command line for people (cli.py), or that of a process this program starts (child.py)."""

from __future__ import annotations

import sys

from pointstore.child import COMMANDS, run_child


def main() -> None:
    """Run the command that the arguments name."""
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        sys.exit(run_child(sys.argv[1:]))
    # Here, since half of a hundred milliseconds of every child's start would go into it.
    from pointstore.cli import app

    app(prog_name="pointstore")


if __name__ == "__main__":
    main()
