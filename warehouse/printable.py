"""Text that is safe to show: no terminal escapes, no characters that change the direction."""

from __future__ import annotations

import re

# Control characters but tab and line feed, line and paragraph separators, direction marks,
# halves of surrogate pairs. A carriage return is kept before a line feed.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
    r"|\r(?!\n)"
)


def printable(value: str | bytes) -> str:
    """The text; control characters, and bytes that are not UTF-8, become \\xNN or \\uNNNN."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    return _HIDDEN.sub(_escaped, value)


def _escaped(found: re.Match) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
