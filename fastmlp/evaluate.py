"""``python -m fastmlp.evaluate``: judge a saved model by a test set."""

import sys

if __name__ != "__main__":
    # As a module it would take the place of the function in the package.
    raise ImportError("fastmlp.evaluate is a function; its command is in fastmlp.evaluate_command")

from fastmlp.evaluate_command import main

sys.exit(main())
