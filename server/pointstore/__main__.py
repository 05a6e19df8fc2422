"""`python -m pointstore`: the commands of people (cli.py), or those of the processes that it starts (child.py)."""

from __future__ import annotations

import sys

from pointstore.child import COMMANDS, run_child


def main() -> None:
    """Run the command that the arguments name."""
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        sys.exit(run_child(sys.argv[1:]))
    # Here, because children do without what it imports.
    from pointstore.cli import app

    app(prog_name="pointstore")


if __name__ == "__main__":
    main()
