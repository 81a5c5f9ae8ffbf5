"""A corpus of texts with and without personal data, and how well the detectors tell them apart.

Everything is generated from a seed, without the code that it tests: check digits are computed here,
and forms of phone numbers are written down country by country. Some planted numbers cannot be told
from amounts or order numbers; they are there because people write them so.

`python -m tests.privacy.corpus` prints the table of docs.
"""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from warehouse.privacy.detect import KINDS, find, find_in_json, known_names
from warehouse.sample.people import FIRST_NAMES, LAST_NAMES
from warehouse.sample.shop import ADJECTIVES, MATERIALS

SEED = 20261130
PER_KIND = 400
HARMLESS = 4500
USERS = 600

# `#` is a digit, `@` a digit from 2 to 9, `=` one from 1 to 9.
INTERNATIONAL = """
+1@##@######|+1 @## @## ####|+1 (@##) @##-####|+1-@##-@##-####|+44 20 7### ####|+447#########
+44 7### ######|+44 (0)161 ### ####|+49 30 #######|+49 (0)89 ######|+4917########|+49 171 #######
+49-40-########|+33 6 ## ## ## ##|+33 (0)1 ## ## ## ##|+336########|+34 6## ### ###|+34 91# ## ## ##
+39 06 #### ####|+39 3## #######|+31 6 ########|+31 20 ### ####|+32 4## ## ## ##|+41 44 ### ## ##
+41 79 ### ## ##|+43 1 #######|+43 664 #######|+45 =# ## ## ##|+46 70 ### ## ##|+47 4## ## ###
+48 5## ### ###|+351 91# ### ###|+353 85 ### ####|+358 40 #######|+420 6## ### ###|+27 82 ### ####
+7 912 ###-##-##|+90 532 ### ## ##|+55 11 9####-####|+52 55 #### ####|+91 9#### #####
+971 50 ### ####|+81 90-####-####|+86 138 #### ####|+61 4## ### ###|0049 30 #######
0044 20 7### ####|+30 69# ### ####
"""
NATIONAL = """
(@##) @##-####|@##-@##-####|@##.@##.####|1-@##-@##-####|@## @## ####|(@##) @##-#### x###
020 7### ####|07### ######|0161 ### ####|01### ######|030 #######|030/#######|0171 #######
0171-#######|(030) #### ####|089 / ######|0221 ######|01 ## ## ## ##|06.##.##.##.##|06 ## ## ## ##
06-########|020-#######|6## ## ## ##|91# ## ## ##|333 #######|02 #### ####|044 ### ## ##
070-### ## ##|08-### ### ##|0470 ## ## ##|9#### #####|03-####-####|090-####-####|138 #### ####
(11) 9####-####|0412 ### ###|(02) 9### ####|085 ### ####|0532 ### ## ##|8 (912) ###-##-##
tel. 512 ### ###|Phone: @##@######|Tel: 91# ### ###|Telefon 0301234###|mobile 9########
"""
# No form and no word tells them from amounts and order numbers.
AMBIGUOUS = "512 ### ###|91# ### ###|## ## ## ##|@##@######|0171#######"

DOMAINS = [
    *("example.com", "example.org", "example.net", "mail.example.co.uk", "post.example.de"),
    *("163.com", "shop.example.info", "firma.example.museum", "münchen.example"),
]

# Country, and its account number: `#` a digit, `A` a capital, `C` either.
IBANS = """
DE ##################|FR ##########CCCCCCCCCCC##|GB AAAA##############|ES ####################
IT A##########CCCCCCCCCCCC|NL AAAA##########|BE ############|CH #####CCCCCCCCCCCC
AT ################|PL ########################|SE ####################|NO ###########
DK ##############|FI ##############|PT #####################|IE AAAA##############
MT AAAA#####CCCCCCCCCCCCCCCCCC|BR #######################AC|TR ######CCCCCCCCCCCCCCCC
SA ##CCCCCCCCCCCCCCCCCC|UA ######CCCCCCCCCCCCCCCCCCC
"""

CARDS = [
    *(["4###############"] * 6),
    *(["51##############", "53##############", "55##############", "2221############"] * 2),
    *("2345############", "34#############", "37#############", "37#############"),
    *("36############", "6011############", "65##############", "3530############"),
    *("6212############", "2202############", "4##################"),
]

SENTENCES = [
    "Please write to {} before Friday.",
    "The customer gave us {} and asked for a refund.",
    "{} - see the note of last week",
    "Contact ({}), second floor",
    "Rückfrage: {}. Danke!",
    "asked again; {}",
    'he said "{}" on the call',
    "Customer since 2019, now {}; parcel 2 of 3 is missing.",
]


@dataclass(frozen=True)
class Value:
    """A value of a column.

    Attributes:
        text: the value.
        kind: the kind of personal data in it; None if there is none.
        is_json: whether its column is of type json.
    """

    text: str
    kind: str | None
    is_json: bool = False


@dataclass(frozen=True)
class Corpus:
    """Values, and the users whose names are known."""

    values: list[Value]
    users: list[tuple[str, str]]


@dataclass(frozen=True)
class Score:
    """How well one kind is found.

    Attributes:
        kind: the kind.
        planted: values that hold it.
        found: values in which it was found.
        right: values in both.
    """

    kind: str
    planted: int
    found: int
    right: int

    @property
    def precision(self) -> float:
        """The share of the found values that hold the kind."""
        return self.right / self.found

    @property
    def recall(self) -> float:
        """The share of the values with the kind in which it was found."""
        return self.right / self.planted


def make_corpus(seed: int = SEED, per_kind: int = PER_KIND, harmless: int = HARMLESS) -> Corpus:
    """Generate a corpus; the same arguments give the same values.

    Args:
        seed: of the random numbers.
        per_kind: how many values hold each kind.
        harmless: how many values hold none.
    """
    rng = random.Random(seed)  # noqa: S311
    pairs = [(first, last) for first in FIRST_NAMES for last in LAST_NAMES if first != last]
    rng.shuffle(pairs)
    users, strangers = pairs[:USERS], pairs[USERS:]
    makers: dict[str, Callable[[random.Random], str]] = {
        "email": _email,
        "phone": _phone,
        "iban": lambda rng: _spaced(rng, make_iban(rng)),
        "card": lambda rng: _card_form(rng, make_card(rng)),
        "ip": _address,
        "ssn": _ssn,
        "name": lambda rng: _name(rng, rng.choice(users)),
    }
    assert tuple(makers) == KINDS
    values = [
        _placed(rng, maker(rng), kind) for kind, maker in makers.items() for _ in range(per_kind)
    ]
    kinds = [*_HARMLESS, lambda rng: _stranger(rng, rng.choice(strangers))]
    for number in range(harmless):
        kind = kinds[number % len(kinds)]
        values.append(Value(kind(rng), None, is_json=kind is _payload))
    return Corpus(values, users)


def scores(corpus: Corpus) -> list[Score]:
    """How well each kind is found in the values of a corpus, without labels."""
    names = known_names(corpus.users)
    found = [
        (value.kind, (find_in_json if value.is_json else find)(value.text, names))
        for value in corpus.values
    ]
    return [
        Score(
            kind,
            planted=sum(planted == kind for planted, _ in found),
            found=sum(kind in kinds for _, kinds in found),
            right=sum(planted == kind and kind in kinds for planted, kinds in found),
        )
        for kind in KINDS
    ]


def with_luhn(digits: str) -> str:
    """Digits with the check digit of Luhn's formula, found by trying all ten."""
    for check in string.digits:
        doubled = [int(each) * 2 for each in reversed(digits)][::2]
        others = [int(each) for each in reversed(digits)][1::2]
        total = sum(each // 10 + each % 10 for each in doubled) + sum(others) + int(check)
        if total % 10 == 0:
            return digits + check
    raise AssertionError(digits)


def with_check_digits(country: str, account: str) -> str:
    """The IBAN of an account number: ISO 13616 counts from the code with check digits 00."""
    letters = {letter: str(10 + place) for place, letter in enumerate(string.ascii_uppercase)}
    number = "".join(letters.get(each, each) for each in f"{account}{country}00")
    return f"{country}{98 - int(number) % 97:02}{account}"


def make_iban(rng: random.Random) -> str:
    """An IBAN without spaces."""
    country, form = rng.choice(IBANS.replace("\n", "|").strip("|").split("|")).split()
    return with_check_digits(country, _filled(rng, form))


def make_card(rng: random.Random) -> str:
    """The digits of a card."""
    return with_luhn(_filled(rng, rng.choice(CARDS))[:-1])


def _filled(rng: random.Random, form: str) -> str:
    choices = {
        "#": string.digits,
        "@": "23456789",
        "=": "123456789",
        "A": string.ascii_uppercase,
        "C": string.digits * 3 + string.ascii_uppercase,
    }
    return "".join(rng.choice(choices[each]) if each in choices else each for each in form)


def _placed(rng: random.Random, text: str, kind: str) -> Value:
    """A value alone, in a sentence, or in json."""
    place = rng.random()
    if place < 0.55:
        return Value(text, kind)
    if place < 0.88:
        return Value(rng.choice(SENTENCES).format(text), kind)
    document = {"source": "web", "note": {"lines": ["ok", text], "count": 3}}
    return Value(json.dumps(document), kind, is_json=True)


def _email(rng: random.Random) -> str:
    first, last = rng.choice(FIRST_NAMES).lower(), rng.choice(LAST_NAMES).lower()
    number = rng.randrange(1000)
    local = rng.choice(
        [
            f"{first}.{last}",
            f"{first}{number}",
            f"{first[0]}{last}",
            f"{first}_{last}",
            f"{first}.{last}+shop",
            f"{first}-{number}",
            f"info{number}",
        ]
    ).replace("'", "")
    address = f"{local}@{rng.choice(DOMAINS)}"
    return rng.choice(
        [
            address,
            address,
            address.upper(),
            f"<{address}>",
            f"mailto:{address}",
            f"https://shop.example/unsubscribe?email={quote(address)}&list=3",
        ]
    )


def _phone(rng: random.Random) -> str:
    share = rng.random()
    forms = INTERNATIONAL if share < 0.45 else NATIONAL if share < 0.98 else AMBIGUOUS
    return _filled(rng, rng.choice(forms.replace("\n", "|").strip("|").split("|")))


def _spaced(rng: random.Random, iban: str) -> str:
    spaced = " ".join(iban[place : place + 4] for place in range(0, len(iban), 4))
    return rng.choice([iban, spaced, iban.lower(), f"IBAN {spaced}", f"IBAN: {iban}"])


def _card_form(rng: random.Random, digits: str) -> str:
    if len(digits) in (14, 15):
        spaced = f"{digits[:4]} {digits[4:10]} {digits[10:]}"
    else:
        spaced = " ".join(digits[place : place + 4] for place in range(0, len(digits), 4))
    return rng.choice([digits, spaced, spaced.replace(" ", "-"), f"card {spaced}"])


def _address(rng: random.Random) -> str:
    if rng.random() < 0.3:
        groups = [f"{rng.randrange(0x10000):x}" for _ in range(8)]
        groups[0] = rng.choice(["2001", "2003", "2a02", "2600", "fd12", "fe80"])
        if rng.random() < 0.5:
            start = rng.randrange(2, 5)
            groups[start : start + rng.randrange(2, 4)] = [""]
        return ":".join(groups)
    private = [f"10.{rng.randrange(256)}.{rng.randrange(256)}", f"192.168.{rng.randrange(256)}"]
    public = (
        f"{rng.choice([46, 62, 78, 91, 142, 185, 203])}.{rng.randrange(256)}.{rng.randrange(256)}"
    )
    address = f"{rng.choice([*private, public, public, public])}.{rng.randrange(1, 255)}"
    return rng.choice(
        [address, address, f"{address}:443", f"http://{address}/login", f"[{address}]"]
    )


def _ssn(rng: random.Random) -> str:
    area = rng.choice([each for each in range(1, 900) if each != 666])
    space = rng.choice("--- ")
    return f"{area:03}{space}{rng.randrange(1, 100):02}{space}{rng.randrange(1, 10000):04}"


def _name(rng: random.Random, user: tuple[str, str]) -> str:
    first, last = user
    return rng.choice(
        [
            f"{first} {last}",
            f"{first} {last}",
            f"{last}, {first}",
            f"{first} {last}".upper(),
            f"{first}  {last}".lower(),
            f"Dear {first} {last},",
            f"{first} {last}'s order",
        ]
    )


def _stranger(rng: random.Random, pair: tuple[str, str]) -> str:
    """Names of no user, and parts of names."""
    first, last = pair
    return rng.choice(
        [
            first,
            last,
            f"{last} {first}",
            f"{first}, please call back",
            f"{first} and {last} are brands",
            f"{first} {rng.choice(ADJECTIVES)} {last}",
            f"{first}-{last} GmbH",
            f"{first}.{last}",
            f"Hotel {last} in {first}",
        ]
    )


def _moment(rng: random.Random) -> datetime:
    start = datetime(2019, 1, 1, tzinfo=UTC)
    return start + timedelta(microseconds=rng.randrange(8 * 365 * 86_400_000_000))


def _ean(rng: random.Random, form: str) -> str:
    digits = _filled(rng, form)
    total = sum(int(each) * (3, 1)[place % 2] for place, each in enumerate(reversed(digits)))
    return f"{digits}{-total % 10}"


def _product(rng: random.Random) -> str:
    name = f"{rng.choice(ADJECTIVES)} {rng.choice(MATERIALS)}"
    return rng.choice(
        [
            f"{name} piece no. {rng.randrange(1, 3000)}",
            f"{name} table 120x80x75 cm",
            f"{name} lamp, 2 x 60 W, 230 V",
            f"{name} set (12 pcs.)",
            f"{rng.choice('ABC')}{rng.randrange(100, 999)} {name} - 1.5 l",
        ]
    )


def _order(rng: random.Random) -> str:
    year, number = rng.randrange(2019, 2027), rng.randrange(10**6)
    return rng.choice(
        [
            f"{number}",
            f"{number:010}",
            f"ORD-{year}-{number:06}",
            f"#{number}",
            f"SO{number:08}",
            f"INV/{year}/{number:05}",
            _filled(rng, "30#-#######-#######"),
            _filled(rng, "R#########"),
            _filled(rng, "ch_####aB##cD####"),
            _filled(rng, "################"),
            _filled(rng, "##########"),
            _filled(rng, "######-####"),
            _filled(rng, "Order no. 0#####-####"),
            f"{year}{number:06}-{rng.randrange(100):02}",
        ]
    )


def _amount(rng: random.Random) -> str:
    value = rng.randrange(10**10) / 100
    english = f"{value:,.2f}"
    return rng.choice(
        [
            f"{value:.2f}",
            english,
            f"€{english}",
            english.replace(",", " ").replace(".", ",") + " EUR",
            english.translate(str.maketrans(",.", ".,")) + " kr",
            f"+{english}",
            f"-{value:.2f}",
            english.replace(",", "'") + " CHF",
            english.replace(",", "\u202f").replace(".", ",") + " €",
            f"{value * 1000:.0f} {rng.choice(['pcs', 'USD', 'JPY'])}",
            f"{value / 10**8:.4f}",
            f"{value / 10**8:.1f} %",
            f"{value:.3e}",
        ]
    )


def _time(rng: random.Random) -> str:
    moment = _moment(rng)
    epoch = int(moment.timestamp())
    return rng.choice(
        [
            moment.isoformat(),
            moment.isoformat(sep=" ", timespec="seconds"),
            moment.strftime("%d.%m.%Y %H:%M"),
            moment.strftime("%m/%d/%Y %I:%M %p"),
            moment.strftime("%d-%m-%Y %H%M"),
            moment.strftime("%Y%m%d%H%M%S"),
            moment.strftime("%Y%m%d-%H%M%S"),
            moment.strftime("%Y/%m/%d %H:%M:%S+0200"),
            moment.strftime("%a, %d %b %Y %H:%M:%S GMT"),
            moment.strftime("%d.%m.-01.%m.%Y"),
            moment.strftime("%d.%m.%Y - 28.%m.%Y"),
            moment.strftime("%G-W%V-%u"),
            moment.strftime("%H:%M:%S.%f"),
            *(f"{epoch}", f"{epoch}000", f"{epoch}000000", f"{epoch}.123456", f"{epoch}000000000"),
        ]
    )


def _url(rng: random.Random) -> str:
    number = rng.randrange(10**9)
    return rng.choice(
        [
            f"https://shop.example/products/{number}-soft-oak",
            f"https://cdn.example/img/{number:09}@2x.png",
            f"https://shop.example/p?id={number}&utm_source=mail&utm_id=0171-{number % 9999999:07}",
            f"https://maps.example/@52.5{number % 10000:04},13.4{number % 1000:03},15z",
            f"git@code.example.com:team/repo-{number % 100}.git",
            f"postgres://reader:secret{number}@db.example.com:5432/shop",
            f"https://social.example/@user{number}/status/{number}{number}",
            f"s3://bucket/2026/01/31/part-{number:05}.parquet",
            f"/checkout/step-{number % 5}?ref={number}",
            "gid://shopify/Order/" + _filled(rng, "4###########0"),
        ]
    )


def _version(rng: random.Random) -> str:
    major, minor, patch = rng.randrange(1, 30), rng.randrange(30), rng.randrange(60)
    build = rng.randrange(10_000)
    return rng.choice(
        [
            f"{major}.{minor}.{patch}",
            f"v{major}.{minor}.{patch}",
            f"{major}.{minor}",
            f"{major}.{minor}.{patch}-beta.{build}",
            f"{major}.{minor}.{patch}+{20_260_000 + build}",
            f"{major}.{minor}.{patch}.{1000 + build}",
            f"v{major}.{minor}.{patch}.{build % 256}",
            f"version {major}.{minor}.{patch}.{build % 256}",
            f"{major % 10}.{minor % 10}.{patch % 10}.{build % 10}",
            f"Mozilla/5.0 (X11; Linux x86_64) Chrome/{100 + patch}.0.0.0 Safari/537.36",
            f"lodash@{major}.{minor}.{patch}",
            f"@scope/pkg@{major}.{minor}.{patch}.tgz",
            f"PostgreSQL 18.{minor} on x86_64, compiled by gcc {major}.2.0",
            f"Windows NT 10.0.{19000 + build}.{build}",
            f"OID 1.3.6.1.4.1.{build}.{minor}",
        ]
    )


def _code(rng: random.Random) -> str:
    """Codes of goods, banks and machines, and numbers with a wrong check digit or range."""
    card = make_card(rng)
    iban = make_iban(rng)
    wrong = f"{iban[:2]}{(int(iban[2:4]) + rng.randrange(1, 90)) % 97:02}{iban[4:]}"
    spaced = " ".join(wrong[place : place + 4] for place in range(0, len(wrong), 4))
    return rng.choice(
        [
            _ean(rng, "4###########"),
            _ean(rng, "5###########"),
            _ean(rng, "0##########"),
            _ean(rng, "9783########"),
            _filled(rng, "978-3-16-######-#"),
            _filled(rng, "3-16-######-#"),
            card[:-1] + str((int(card[-1]) + rng.randrange(1, 10)) % 10),
            _card_form(rng, card[:-1] + str((int(card[-1]) + rng.randrange(1, 10)) % 10)),
            f"**** **** **** {card[-4:]}",
            f"{card[:4]} {card[4:6]}** **** {card[-4:]}",
            wrong,
            spaced,
            _filled(rng, "DE#########"),
            "DEUTDEFF500",
            _filled(rng, "000-##-####"),
            _filled(rng, "666-##-####"),
            _filled(rng, "9##-##-####"),
            _filled(rng, "123-00-####"),
            _filled(rng, "1Z999AA1##########"),
            _filled(rng, "00340434########0#####"),
            _filled(rng, "AB-CD ####"),
            ":".join(f"{rng.randrange(256):02x}" for _ in range(6)),
            ":".join(f"{rng.randrange(256):02X}" for _ in range(8)),
            f"{rng.randrange(-90, 90)}.{rng.randrange(10**6):06}, 13.{rng.randrange(10**6):06}",
            f"#{rng.randrange(2**24):06x}",
            f"{rng.choice('abc')}***@example.com",
        ]
    )


def _key(rng: random.Random) -> str:
    whole = rng.getrandbits(128)
    return rng.choice(
        [
            str(uuid.UUID(int=whole, version=4)),
            f"{whole:032x}",
            f"{whole:040x}",
            base64.b64encode(whole.to_bytes(16, "big")).decode(),
            f"sess_{whole:x}",
            f"{whole % 10**18}:{whole % 97}",
            f"id::{whole % 10**6}",
            "std::map<a::b, c::d>",
            "'2026-01-31'::date",
        ]
    )


def _sentence(rng: random.Random) -> str:
    number = rng.randrange(2, 2000)
    return rng.choice(
        [
            "Great product, arrived on time!",
            f"I bought {number} of these in 2024 and 3 broke within 14 days.",
            f"Delivery took {number % 30} days, the tracking said 2-3 working days.",
            "Please call me back about my order.",
            f"The table is {number} cm wide, 75 cm high; 4/5 stars.",
            "Can I pay by card or by bank transfer? My IBAN did not work.",
            f"Refund of 1 234 567,89 EUR for {number} items, as of 01.02.2026.",
            "I wrote an e-mail @ your support, no answer.",
            f"Gift for Ada, size {number % 50}, colour brown, with love from the Bakers",
            f"Open 09:00-18:30, Mon-Fri; room 0{number}",
            f"See chapter 4.2.1, page {number}, and appendix B.12",
            "Größe passt nicht, Farbe war anders als im Bild 2/3.",
            f"Ratio 1:{number}, tolerance +/- 0.05 mm, 1 000 000 cycles",
            f"Lot 2026-01 / shelf {number} / 12 34 56",
        ]
    )


def _payload(rng: random.Random) -> str:
    return json.dumps(
        {
            "page": rng.choice(["/cart", "/checkout"]),
            "value": rng.randrange(10**7) / 100,
            "ids": [rng.randrange(10**9) for _ in range(3)],
            "at": _time(rng),
            "sku": _order(rng),
            "app": {"version": _version(rng), "session": _key(rng)},
        }
    )


_HARMLESS: list[Callable[[random.Random], str]] = [
    *(_product, _order, _amount, _time, _url, _version, _code, _code, _key, _sentence, _payload)
]


def lines(results: Iterable[Score]) -> list[str]:
    """The scores as the lines of a table."""
    titles = f"{'kind':6} {'planted':>8} {'found':>6} {'precision':>10} {'recall':>7}"
    return [
        titles,
        *(
            f"{each.kind:6} {each.planted:8} {each.found:6} {each.precision:10.3f}"
            f" {each.recall:7.3f}"
            for each in results
        ),
    ]


if __name__ == "__main__":
    print("\n".join(lines(scores(make_corpus()))))
