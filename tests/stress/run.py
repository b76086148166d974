"""Run the stress suite: `python tests/stress/run.py --help`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Run by its path this file is in no package; the folder above makes it one.
    sys.path[:1] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]
    from stress.command import main

    sys.exit(main())
