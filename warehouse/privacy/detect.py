"""Which kinds of personal data a text holds: e-mail addresses, phone numbers, IBANs and more.

The detectors read one text and know nothing of the database. Where a number has a check digit or an
official range, they check it. Where only the written form tells a number from an order number, an
amount or a date, they prefer to miss it: a phone number without `+`, without a leading zero and
without a form of its own, such as `512 345 678`, is found only after a word such as "tel".
"""

from __future__ import annotations

import ipaddress
import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from typing import Any
from urllib.parse import unquote

KINDS = ("email", "phone", "iban", "card", "ip", "ssn", "name")

# A candidate of a kind, and whether it is one: (start, end, holds).
_Candidate = tuple[int, int, bool]

_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"))
_DIGIT = re.compile("[0-9]")
# The shortest number has eight digits, except for addresses and for IBANs with letters.
_NUMBER = re.compile("(?:[0-9][^0-9]*+){8}")

# RFC 5322's dot-atom and RFC 6531's letters, but only the characters that addresses use: `*` is the
# mark of a masked address, `=` and `%` belong to the URL around it.
_EMAIL = re.compile(
    r"(?<![\w.+&'~*-])(?P<local>[\w.+&'~-]{1,64})@"
    r"(?P<domain>(?:[^\W_][\w-]{0,62}\.)+(?:xn--[\w-]{2,59}|[^\W\d_]{2,24}))(?![\w-])"
)
# photo@2x.png, lodash@4.17.21.tgz
_FILE = re.compile(r"[0-9]+x\.|[0-9]+\.[0-9]+\.")
# postgres://reader:secret@db.example.com
_USERINFO = re.compile(r"://[^\s/@]*$")
_USERINFO_REACH = 200

# ISO 13616-1: the length of a country's IBAN, from the SWIFT IBAN registry.
IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
_IBAN_START = re.compile(r"(?<![\w-])[A-Za-z]{2}[0-9]{2}")
# Without spaces, or in the groups of four of the printed form. The country gives the length.
_IBAN_REST = {
    length: re.compile(
        rf"(?:[A-Za-z0-9]{{{length - 4}}}"
        rf"|(?P<space>[ -])(?:[A-Za-z0-9]{{4}}(?P=space)){{{(length - 5) // 4}}}"
        rf"[A-Za-z0-9]{{{(length - 5) % 4 + 1}}})(?!\w)"
    )
    for length in set(IBAN_LENGTHS.values())
}

# Without spaces, in groups of four, or as American Express and Diners Club print them.
_CARD = re.compile(
    r"(?<![\w.-])(?:[0-9]{14,19}"
    r"|(?<![0-9] )[0-9]{4}(?P<space>[ -])[0-9]{4}(?P=space)[0-9]{4}(?P=space)[0-9]{4}"
    r"(?P<more>(?P=space)[0-9]{1,3})?"
    r"|(?<![0-9] )[0-9]{4}(?P<gap>[ -])[0-9]{6}(?P=gap)[0-9]{4,5})(?!\w)(?!\.[0-9])(?![ -][0-9]{4})"
)
# The issuer identification numbers of ISO/IEC 7812 that the networks publish, and their lengths.
# Left out: Visa's 13 digits, no longer issued and the length of an EAN, and Maestro's 12 to 15.
_CARD_FORMS = re.compile(
    r"4(?:[0-9]{15}|[0-9]{18})"  # Visa
    r"|5[1-5][0-9]{14}"  # Mastercard, with the next line
    r"|(?:222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-59]|[689][0-9])[0-9]{11}"  # Diners Club
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12}(?:[0-9]{3})?"  # Discover
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}(?:[0-9]{3})?"  # JCB
    r"|62[0-9]{14,17}"  # UnionPay
    r"|220[0-4][0-9]{12,15}"  # Mir
    r"|(?:508[0-9]|81[0-9]{2}|82[0-9]{2})[0-9]{12}"  # RuPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{12,15}"  # Maestro
)

_IPV4 = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\w|\.[0-9]|-[A-Za-z])")
_IPV6 = re.compile(
    r"(?<![\w.])(?<![0-9A-Fa-f:]:)(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])(?!\.[0-9])"
)
# Chrome/120.0.0.0, v2.1.0.4, version 10.2.30.4
_VERSIONED = re.compile(r"(?:[a-z]/|\bv(?:er(?:sion)?)?[ .:]*|\brelease )$", re.IGNORECASE)
_SMALL = 20
_TEN = ipaddress.ip_network("10.0.0.0/8")
# What is assigned to hosts: global unicast, unique local, link-local (RFC 4291, RFC 4193).
_HOSTS6 = tuple(map(ipaddress.ip_network, ("2000::/3", "fc00::/7", "fe80::/10")))

_SSN = re.compile(
    r"(?<![\w.-])(?P<area>[0-9]{3})(?P<space>[ -])(?P<group>[0-9]{2})(?P=space)"
    r"(?P<serial>[0-9]{4})(?!\w|[.-][0-9])"
)
_BARE_SSN = re.compile(
    r"(?<![\w.-])(?P<area>[0-9]{3})(?P<group>[0-9]{2})(?P<serial>[0-9]{4})(?!\w)"
)
_SSN_WORD = re.compile(r"\b(?:ssn|social security(?: number| no)?)[ .:#=-]*$", re.IGNORECASE)

_DATE = re.compile(
    r"(?<![0-9])(?:(?:19|20)[0-9]{2}(?P<one>[./-])[0-9]{1,2}(?P=one)[0-9]{1,2}"
    r"|[0-9]{1,2}(?P<two>[./-])[0-9]{1,2}(?P=two)(?:19|20)[0-9]{2})(?![0-9])"
)
# Digits with what may stand between those of a phone number, as far as they go.
_RUN = re.compile(
    r"(?<![\w+#$€£*])(?<![\w)][/-])(?<![0-9][.,:])"
    r"\(?\+?\(?[0-9](?:(?:,|[ ()./-]{0,3})[0-9])*+"
    r"(?:[ ]?(?:x|ext\.?)[ ]?[0-9]{1,6})?(?![\w%€$£*])(?![:/-]\w)"
)
# ITU-T E.164: the country codes in use.
_COUNTRY = re.compile(
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|21[1-368]|2[2346][0-9]|25[0-8]"
    r"|29[01789]|3[57][0-9]|38[0-35-79]|42[013]|5[09][0-9]|67[02-9]|68[0-35-9]|69[0-2]|80[08]"
    r"|85[02356]|87[08]|88[0-36]|96[0-8]|97[0-79]|99[2-68]"
)
_AFTER_COUNTRY = re.compile(rf"00(?:{_COUNTRY.pattern})[ ()./-]")
# Digits after the country code, from the national numbering plans that the ITU publishes.
_LENGTHS = {
    "1": (10, 10),
    "7": (10, 10),
    "31": (9, 9),
    "32": (8, 9),
    "33": (9, 9),
    "34": (9, 9),
    "41": (9, 9),
    "44": (9, 10),
    "45": (8, 8),
    "46": (7, 10),
    "47": (8, 8),
    "48": (9, 9),
    "52": (10, 11),
    "55": (10, 11),
    "61": (9, 9),
    "81": (9, 10),
    "86": (10, 11),
    "91": (10, 10),
    "351": (9, 9),
}
_OTHER_LENGTHS = (6, 12)
# ITU-T E.164: at most 15 digits with the country code.
_MOST_DIGITS = 15
# National forms. None is the form of an amount, whose groups all have three digits.
_NATIONAL = re.compile(
    # 030 1234567, (020) 7946 0958, 01 23 45 67 89, 0171/1234567, 090-1234-5678, 070-123 45 67
    r"(?P<trunk>(?:\(0[1-9][0-9]{0,4}\)[ ]?|0[1-9][0-9]{0,4}(?:[ ]?[/.-][ ]?|[ ]))"
    r"[0-9]{2,8}(?:[ .-][0-9]{2,4}){0,4})"
    # 212-555-0123, (212) 555-0123, 1-212-555-0123, 210 123 4567, 333 123 4567
    r"|(?:1[ .-]?)?(?:\([2-9][0-9]{2}\)[ ]?|[2-9][0-9]{2}[ .-])[0-9]{3}[ .-][0-9]{4}"
    r"|[6-9][0-9]{2}(?:[ .-][0-9]{2}){3}"  # Spain: 612 34 56 78
    r"|3[2-9][0-9][ .-][0-9]{7}"  # Italy, mobile: 333 1234567
    r"|[6-9][0-9]{4}[ -][0-9]{5}"  # India: 98765 43210
    r"|1[3-9][0-9][ -][0-9]{4}[ -][0-9]{4}"  # China, mobile: 138 1234 5678
    r"|\([1-9]{2}\)[ ]?9?[0-9]{4}-[0-9]{4}|[1-9]{2}[ ]9[0-9]{4}-[0-9]{4}"  # Brazil
    r"|[1-9][0-9][ ][0-9]{4}[ ][0-9]{4}"  # Mexico: 55 1234 5678
    r"|8[ -]?\(?[0-9]{3}\)?[ -]?[0-9]{3}[ -][0-9]{2}[ -][0-9]{2}"  # Russia: 8 (912) 345-67-89
)
_TRUNK_DIGITS = range(9, 13)
_LABELLED_DIGITS = range(8, _MOST_DIGITS + 1)
_PHONE_WORD = re.compile(
    r"(?<![^\W_])(?:tel|t[eé]l[eé]phone|tel[eé]fono|telefon(?:nummer)?|rufnummer"
    r"|phone|mobile?|cell(?:phone)?|handy(?:nummer)?|fax|whatsapp|call)\b"
    r"[ .:#=-]*(?:(?:number|no|nr|num|me|us|at|on|is|under)\b[ .:#=-]*){0,3}$",
    re.IGNORECASE,
)
_OTHER_WORD = re.compile(
    r"(?<![^\W_])(?:orders?|invoice|ref(?:erence)?|ticket|tracking|parcel|case|account"
    r"|sku|article|part|serial|batch|lot|isbn|ean|upc|gtin|id|iban"
    r"|bestell(?:ung|nummer)|rechnung(?:snummer)?)\b"
    r"[ .:#=-]*(?:(?:number|no|nr|num|id|is)\b[ .:#=-]*){0,2}$",
    re.IGNORECASE,
)
# Characters before a number that may hold the word which says what it is.
_REACH = 40

_WORD = re.compile(r"\w+(?:['-]\w+)*")
# "Ana María de la Cruz Hernández" has six words.
_MOST_WORDS = 6


def find(text: str, names: Collection[str] = frozenset(), label: str = "") -> list[str]:
    """The kinds of personal data that a text holds.

    Args:
        text: the text, such as the value of a column.
        names: the names of persons to look for, from `known_names`.
        label: what the text is called, such as the name of its column or its json key. After a
            label such as `phone` or `ssn`, digits without separators count too; after one such as
            `order_id`, national forms of phone numbers do not count.

    Returns:
        The kinds, each once, in the order of `KINDS`.
    """
    plain = _plain(text)
    found = set()
    if (
        "@" in plain
        or plain.count(":") > 1
        or plain.count(".") > 2
        or _NUMBER.search(plain)
        or _IBAN_START.search(plain)
    ):
        named = _words_of(label)
        rest = plain
        for kind, candidates in (
            ("email", _emails),
            ("iban", _ibans),
            ("card", _cards),
            ("ip", _addresses),
            ("ip", _long_addresses),
            ("ssn", _ssns),
            ("ssn", _bare_ssns),
            (None, _dates),
            ("phone", _phones),
        ):
            spans = list(candidates(rest, named))
            if kind and any(holds for _, _, holds in spans):
                found.add(kind)
            # The next detector does not read it: the digits of an IBAN are not a phone number.
            rest = _blanked(rest, spans)
    if names and _holds_name(text, names):
        found.add("name")
    return [kind for kind in KINDS if kind in found]


def find_in_json(text: str, names: Collection[str] = frozenset(), label: str = "") -> list[str]:
    """The kinds of personal data that a json document holds in its keys and values.

    Args:
        text: the document; what is not valid json is read as a text.
        names: the names of persons to look for, from `known_names`.
        label: what the document is called. A value is called by the key above it.

    Returns:
        The kinds, each once, in the order of `KINDS`.
    """
    try:
        # Digits as they are written: a float would round a card number.
        document = json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return find(text, names, label)
    found: set[str] = set()
    for key, value in _texts_of(document, label):
        found.update(find(value, names, key))
    return [kind for kind in KINDS if kind in found]


def resembles_card(text: str) -> bool:
    """Whether a text holds a number with the prefix and length of a payment card.

    Its check digit may be wrong. One in ten such numbers passes Luhn's formula by chance, so a
    column of order numbers with 16 digits would seem to hold some cards.

    Args:
        text: the text.
    """
    return any(
        _CARD_FORMS.fullmatch(digits)
        for match in _CARD.finditer(_plain(text))
        for digits in _card_numbers(match)
    )


def is_luhn(digits: str) -> bool:
    """Whether digits end with the check digit of Luhn's formula.

    Source: ISO/IEC 7812-1, annex B. From the right, every second digit is doubled; the digits of
    all results add up to a multiple of ten.

    Args:
        digits: ASCII digits, the check digit last.
    """
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) << (place & 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Whether digits are the number of a payment card.

    Source: ISO/IEC 7812-1 for the check digit; the prefixes and lengths are those that Visa,
    Mastercard, American Express, Diners Club, Discover, JCB, UnionPay, Mir, RuPay and Maestro
    publish.

    Args:
        digits: ASCII digits without separators.
    """
    return _CARD_FORMS.fullmatch(digits) is not None and is_luhn(digits)


def is_iban(code: str) -> bool:
    """Whether a code is an IBAN: a country, its length, and the check digits.

    Source: ISO 13616-1 for the form, ISO/IEC 7064 (MOD 97-10) for the check digits, the SWIFT IBAN
    registry for the lengths. The first four characters move to the end, each letter becomes its
    number from 10 for A to 35 for Z, and the whole number is 1 modulo 97.

    Args:
        code: ASCII letters and digits, without separators.
    """
    code = code.upper()
    # Check digits are 98 minus a remainder of 97.
    if len(code) != IBAN_LENGTHS.get(code[:2]) or not "02" <= code[2:4] <= "98":
        return False
    return int("".join(str(int(each, 36)) for each in code[4:] + code[:4])) % 97 == 1


def is_ssn(area: str, group: str, serial: str) -> bool:
    """Whether three parts are a US Social Security number that may have been assigned.

    Source: Social Security Administration, POMS RM 10201.035. Never assigned are the areas 000, 666
    and 900 to 999, the group 00 and the serial 0000.

    Args:
        area: the first three digits.
        group: the next two.
        serial: the last four.
    """
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"


def known_names(pairs: Iterable[tuple[str | None, str | None]]) -> frozenset[str]:
    """The names of persons in the form in which `find` looks them up.

    Case and accents are removed, so that ZOE MULLER is Zoë Müller.

    Args:
        pairs: first and last names. A pair without one of them is left out: one word of it alone,
            such as Rosa or Brown, is not a name.

    Returns:
        For each pair "first last" and "last, first".
    """
    known = set()
    for pair in pairs:
        first, last = (" ".join(_words(part or "")) for part in pair)
        if min(len(first), len(last)) > (1 if f"{first}{last}".isascii() else 0):
            known |= {f"{first} {last}", f"{last}, {first}"}
    return frozenset(known)


def _texts_of(document: Any, label: str) -> Iterator[tuple[str, str]]:
    """The keys and values of a parsed document, each with the key above it."""
    parts = [(label, document)]
    while parts:
        label, part = parts.pop()
        if isinstance(part, dict):
            parts += part.items()
            parts += (("", key) for key in part)
        elif isinstance(part, list):
            parts += ((label, each) for each in part)
        elif isinstance(part, str):
            yield label, part


def _plain(text: str) -> str:
    """The text with ASCII digits, spaces and hyphens for their variants, and without the escapes of
    a URL if they hide an @."""
    if "%40" in text:
        text = unquote(text)
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text).translate(_DASHES)


def _words_of(label: str) -> str:
    """A label as the words before a value: phoneNumber and phone_number become "phone number: "."""
    if not label:
        return ""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", label)
    return " ".join(re.split(r"[\W_]+", words)).strip() + ": "


def _blanked(text: str, spans: list[_Candidate]) -> str:
    """The text with `_` for the characters of the spans, which are in the order of their start."""
    parts = []
    done = 0
    for start, end, _ in spans:
        if end > done:
            parts += [text[done:start], "_" * (end - max(start, done))]
            done = end
    return "".join([*parts, text[done:]])


def _digits(text: str) -> str:
    return "".join(_DIGIT.findall(text))


def _before(text: str, start: int, label: str) -> str:
    """What stands before a number: the text, and at its beginning the label."""
    if start >= _REACH:
        return text[start - _REACH : start]
    return label + text[:start]


def _emails(text: str, label: str) -> Iterator[_Candidate]:
    if "@" not in text:
        return
    for match in _EMAIL.finditer(text):
        local = match["local"]
        holds = not (
            local.startswith(".")
            or local.endswith(".")
            or ".." in local
            or local == "git"
            or _FILE.match(match["domain"])
            or text.startswith((":/", ":~"), match.end())
            or _USERINFO.search(text, max(match.start() - _USERINFO_REACH, 0), match.start())
        )
        yield *match.span(), holds


def _ibans(text: str, label: str) -> Iterator[_Candidate]:
    for start in _IBAN_START.finditer(text):
        length = IBAN_LENGTHS.get(start[0][:2].upper())
        rest = _IBAN_REST[length].match(text, start.end()) if length else None
        if rest:
            code = text[start.start() : rest.end()].replace(" ", "").replace("-", "")
            yield start.start(), rest.end(), is_iban(code)


def _cards(text: str, label: str) -> Iterator[_Candidate]:
    for match in _CARD.finditer(text):
        yield *match.span(), any(map(is_card, _card_numbers(match)))


def _card_numbers(match: re.Match[str]) -> tuple[str, ...]:
    """The digits of a match, and without a short last group, as in 4111 1111 1111 1111 12/28."""
    digits = _digits(match[0])
    return (digits, digits[:16]) if match["more"] else (digits,)


def _addresses(text: str, label: str) -> Iterator[_Candidate]:
    """Addresses of IPv4 that a host may have.

    Four numbers below 20 are a version, unless they are in the private network 10.0.0.0/8, and so
    is what ends in .0.0, as in Chrome/120.0.0.0.
    """
    for match in _IPV4.finditer(text):
        try:
            address = ipaddress.IPv4Address(match[0])
        except ValueError:
            continue
        is_version = (
            max(address.packed) < _SMALL and address not in _TEN
        ) or address.packed.endswith(b"\0\0")
        is_host = not (
            address.is_loopback
            or address.is_multicast
            or address.is_reserved
            or not address.packed[0]
        )
        before = _before(text, match.start(), label)
        yield *match.span(), is_host and not is_version and not _VERSIONED.search(before)


def _long_addresses(text: str, label: str) -> Iterator[_Candidate]:
    """Addresses of IPv6."""
    if text.count(":") < 2:
        return
    for match in _IPV6.finditer(text):
        try:
            address = ipaddress.IPv6Address(match[0])
        except ValueError:
            continue
        yield *match.span(), any(address in network for network in _HOSTS6)


def _ssns(text: str, label: str) -> Iterator[_Candidate]:
    for match in _SSN.finditer(text):
        start, end = match.span()
        holds = is_ssn(match["area"], match["group"], match["serial"])
        if match["space"] == " ":
            # Part of a longer row of numbers, such as 12 219 09 9998.
            before, after = text[max(start - 2, 0) : start], text[end : end + 2]
            holds &= not re.fullmatch("[0-9] ", before) and not re.fullmatch(" [0-9]", after)
        yield start, end, holds and not _OTHER_WORD.search(_before(text, start, label))


def _bare_ssns(text: str, label: str) -> Iterator[_Candidate]:
    for match in _BARE_SSN.finditer(text):
        if _SSN_WORD.search(_before(text, match.start(), label)):
            yield *match.span(), is_ssn(match["area"], match["group"], match["serial"])


def _dates(text: str, label: str) -> Iterator[_Candidate]:
    for match in _DATE.finditer(text):
        yield *match.span(), True


def _phones(text: str, label: str) -> Iterator[_Candidate]:
    for match in _RUN.finditer(text):
        run = re.split("[ ]?[xe]", match[0])[0]
        # (call 030 1234567) and ((212) 555-0123)
        run = run[max(run.count("(") - run.count(")"), 0) :]
        before = _before(text, match.start(), label)
        # 030 / 1234567 is one number, 030 1234567 / 0171 1234567 are two.
        holds = any(_is_phone(part, before) for part in (run, *re.split(" / |,", run)))
        yield *match.span(), holds


def _is_phone(run: str, before: str) -> bool:
    """Whether a run of digits and separators is a phone number.

    Source: ITU-T E.164 for international numbers, with the lengths of national numbering plans; the
    national forms are those in which the countries write their numbers.
    """
    digits = _digits(run)
    if "," in run:
        return False
    if "+" in run:
        return _is_international(run, digits)
    if len(digits) in _LABELLED_DIGITS and _PHONE_WORD.search(before):
        return True
    if digits.startswith("00"):
        # Without a separator, these are the leading zeros of a number of another kind.
        return (
            _AFTER_COUNTRY.match(run) is not None
            and not _OTHER_WORD.search(before)
            and _is_international(run, digits[2:])
        )
    national = _NATIONAL.fullmatch(run)
    if national is None or _OTHER_WORD.search(before):
        return False
    return not national["trunk"] or len(digits) in _TRUNK_DIGITS


def _is_international(run: str, digits: str) -> bool:
    country = _COUNTRY.match(digits)
    if country is None or len(digits) > _MOST_DIGITS + 1:
        return False
    national = digits[country.end() :]
    # +49 (0)30 1234567; Italian numbers keep their zero.
    if "(0)" in run:
        national = national.removeprefix("0")
    elif national.startswith("0") and country[0] != "39":
        return False
    least, most = _LENGTHS.get(country[0], _OTHER_LENGTHS)
    if country[0] == "1" and not re.match("[2-9][0-9]{2}[2-9]", national):
        return False
    return least <= len(national) <= most


def _words(text: str) -> list[str]:
    """The words of a text without case, accents and the English genitive."""
    return [match[0].removesuffix("'s") for match in _WORD.finditer(_fold(text))]


def _fold(text: str) -> str:
    text = text.casefold().replace("\u2019", "'")
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(each for each in decomposed if not unicodedata.combining(each))


def _holds_name(text: str, names: Collection[str]) -> bool:
    """Whether words that follow each other, with spaces or one comma between them, are a name."""
    text = _fold(text)
    words = list(_WORD.finditer(text))
    for number, first in enumerate(words):
        name = first[0]
        for last, word in zip(
            words[number : number + _MOST_WORDS - 1],
            words[number + 1 : number + _MOST_WORDS],
            strict=False,
        ):
            gap = text[last.end() : word.start()]
            if gap.strip() not in ("", ","):
                break
            name += (", " if gap.strip() else " ") + word[0]
            if name in names or name.removesuffix("'s") in names:
                return True
    return False
