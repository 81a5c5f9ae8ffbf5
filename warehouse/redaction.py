"""Passwords in arguments and variables: found by their form, and never printed.

An address is not the only place of a password, and a mistyped address is not recognized as one. So
every form counts, wherever it stands: user:password@host, with and without a scheme, and
`password=...`, as in a connection string of libpq, a variable or an option.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence

HIDDEN = "***"

_NAMES = r"pass(?:word|wd|phrase|code)?|pwd|secret|token|api_?key|credentials?"
# scheme://user:password@host; a password may contain anything, also @ and spaces.
_ADDRESS = re.compile(r"[a-z][\w+.-]*:/+[^:@/]*:(?P<password>.+)@", re.IGNORECASE | re.DOTALL)
# user:password@host. dbt's `method:value,@model` is none.
_USER = re.compile(r"(?:^|[\s/])[\w.%+-]+:(?!/)(?P<password>[^\s@]*[^\s@,])@[\w\[]")
_ASSIGNED = re.compile(
    rf"(?:{_NAMES})\w*[\"']?\s*[=:]\s*(?P<password>'(?:[^'\\]|\\.)+'|\"[^\"]+\"|[^\s&,;}}'\"]+)",
    re.IGNORECASE,
)
# Not psql's --no-password, which has no value.
_OPTION = re.compile(rf"(?!--no-)--?[\w-]*(?:{_NAMES})[\w-]*", re.IGNORECASE)
# Variables that hold a password as they are.
_VARIABLE = re.compile(r"\w*(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN)\w*", re.IGNORECASE)
# Variables of these names are read by the commands, by dbt or by libpq, which may quote them.
_READ = re.compile(r"PG\w+|DBT_\w+|WAREHOUSE_\w+|\w*DATABASE\w*|\w*_(?:URL|URI|DSN)")
# A shorter value is a word of many messages.
_SHORTEST_VALUE = 6

_hidden: set[str] = set()
# The values of variables: hidden as words of their own, because a folder may have the same name.
_hidden_words: set[str] = set()


def passwords_in(text: str) -> set[str]:
    """The passwords that a text holds, by its form."""
    found = {
        match["password"].strip("'\"")
        for pattern in (_ADDRESS, _USER, _ASSIGNED)
        for match in pattern.finditer(text)
    }
    return found - {"", HIDDEN}


def passwords_of(arguments: Sequence[str]) -> set[str]:
    """The passwords in the arguments of a command, also those after an option such as
    `--password`."""
    found = set[str]()
    for number, argument in enumerate(arguments):
        found |= passwords_in(argument)
        if _OPTION.fullmatch(argument):
            found.update(each for each in arguments[number + 1 : number + 2] if each[:1] != "-")
    return found - {""}


def watch(arguments: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
    """Hide the passwords of these arguments and variables in everything that is printed.

    Args:
        arguments: the arguments of the command.
        variables: the environment; default that of this process.
    """
    _hide(passwords_of(arguments))
    variables = os.environ if variables is None else variables
    public = {
        value
        for name, value in variables.items()
        if name in ("PGUSER", "PGDATABASE", "PGHOST", "USER", "LOGNAME")
    } | {"warehouse", "postgres", "password"}
    for name, value in variables.items():
        if _READ.fullmatch(name):
            _hide(passwords_in(value))
        if _VARIABLE.fullmatch(name) and len(value) >= _SHORTEST_VALUE and value not in public:
            _hidden_words.add(value)


def redact(text: str) -> str:
    """The text without the passwords that `watch` found."""
    for password in sorted(_hidden, key=len, reverse=True):
        if len(password) >= _SHORTEST_VALUE:
            text = text.replace(password, HIDDEN)
        elif password in text:
            text = re.sub(rf"(?<!\w){re.escape(password)}(?!\w)", HIDDEN, text)
    for password in _hidden_words:
        if password in text:
            text = re.sub(rf"(?<![\w/.-]){re.escape(password)}(?![\w/-])", HIDDEN, text)
    return text


def _hide(passwords: Iterable[str]) -> None:
    for password in passwords:
        decoded = urllib.parse.unquote(password)
        for form in (password, decoded):
            # As a path, as libpq reads it, as Python's repr.
            _hidden.update({form, re.sub("/+", "/", form), form.replace("\\", "")})
            _hidden.add(repr(form)[1:-1])
