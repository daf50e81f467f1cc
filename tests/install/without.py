"""``python without.py HIDDEN ARGUMENTS``: Python as it is where these packages are not installed.

HIDDEN is a list of module names, as JSON. What follows is run as ``python ARGUMENTS`` runs it:
``-m MODULE ...`` or ``-c CODE ...``.
"""

import json
import runpy
import sys


class Visible:
    """Finds what another finder finds, but for what is hidden."""

    def __init__(self, finder, hidden):
        self._finder = finder
        self._hidden = hidden

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in self._hidden:
            return None
        return self._finder.find_spec(fullname, path, target)

    def __getattr__(self, name):
        return getattr(self._finder, name)


if __name__ == "__main__":
    hidden = set(json.loads(sys.argv[1]))
    sys.meta_path[:] = [Visible(finder, hidden) for finder in sys.meta_path]
    kind, what, *rest = sys.argv[2:]
    sys.argv = [what, *rest]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(what, {"__name__": "__main__"})
