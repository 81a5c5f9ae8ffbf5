"""For the linter: compile each macro once per process, not once per linted file.

sqlfluff imports the modules of this folder before it renders a file, and renders each file with
all macros of the project, which it compiles again every time: a quarter of the whole lint. This
module keeps the compiled code. A template's code depends on its text and on the extensions of its
environment alone, and those are the key.
"""

from jinja2 import Environment

_compile = Environment.compile
_compiled = {}


def _compile_once(self, source, name=None, filename=None, raw=False, defer_init=False):
    if raw or not isinstance(source, str):
        return _compile(self, source, name, filename, raw, defer_init)
    key = (type(self), tuple(sorted(self.extensions)), source, name, filename)
    if key not in _compiled:
        _compiled[key] = _compile(self, source, name, filename, raw, defer_init)
    return _compiled[key]


# The module is imported again for every file; the cache must outlive it, and not be stacked.
if getattr(Environment.compile, "__name__", "") != _compile_once.__name__:
    Environment.compile = _compile_once
