"""``python -m tunedeco``: the command line."""

import sys

from tunedeco.cli import main

sys.exit(main())
