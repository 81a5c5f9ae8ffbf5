"""Users and their versions, their consents, and their erasure requests."""

from __future__ import annotations

from dataclasses import dataclass
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.sample import columns
from warehouse.sample.plan import DAY, MINUTE, Plan

FIRST_USER = 10_001
# Above the keys of all users.
FIRST_UNKNOWN_USER = 900_000_000

FIRST_NAMES = str.split(
    """
    Ada Aisha Alex Amara Amélie Anders Anna Ben Bruno Carla Chen Chloé Daniel Diego Elena Emil Emma
    Fatima Felix Finn Freya Giulia Grace Hana Hugo Ida Ines Ivan Jakob Jana João José Julia Kai
    Karim Kenji Lars Laura Léa Leon Lina Lucas Luna Maja Malik Marta Mateo Mia Milan Mina Nadia Nils
    Noah Nora Olga Oscar Pablo Priya Ravi Rosa Samuel Sara Sofia Tariq Theo Tomás Uma Vera Viktor
    Wanda Yara Yusuf Zoë
    """
)
LAST_NAMES = str.split(
    """
    Abbas Adams Andersson Bauer Becker Bianchi Brown Carter Castro Chen Clarke Costa Cruz Dahl Diaz
    Dubois Eriksen Evans Fischer Fontana Garcia Gomez Gruber Haas Haddad Hansen Hughes Ivanov Jansen
    Johnson Jones Kaya Keller Khan Kim Klein Kowalski Kumar Lambert Larsen Lee Lopez Martin Mendes
    Meyer Moreau Müller Murphy Nakamura Nguyen Nielsen Novak O'Brien Okafor Olsen Patel Petrov
    Popescu Ricci Rossi Roux Santos Sato Schmidt Schulz Silva Singh Smith Suzuki Tanaka Taylor
    Thomas Toth Varga Virtanen Walker Weber Wilson Wolf Wong Yilmaz Zimmermann
    """
)
COUNTRIES = ["US", "GB", "DE", "FR", "ES", "IT", "NL", "SE", "PL", "CA", "BR", "IN", "JP", "AU"]
COUNTRY_WEIGHTS = np.array([28, 12, 14, 9, 6, 6, 5, 3, 4, 4, 3, 3, 2, 1], float)
TIERS = ["free", "basic", "premium"]
# RFC 2606 reserves these domains: no mail can reach a person.
DOMAINS = ["example.com", "example.org", "example.net"]
BAD_EMAILS = [
    "{name}.example.com",
    "{name}@@example.com",
    "{name}@",
    "@example.org",
    "{name} @example.net",
    "{name}@example..com",
]
AREA_CODES = np.array([201, 202, 212, 303, 312, 404, 415, 503, 602, 617, 702, 808])
PURPOSES = ["analytics", "marketing", "personalisation"]
MOST_CHANGES = 4


def _plain(names: list[str]) -> list[str]:
    """Names for an e-mail address: only lower-case ASCII letters."""
    ascii_names = (normalize("NFKD", name).encode("ascii", "ignore").decode() for name in names)
    return ["".join(filter(str.isalpha, name)).lower() for name in ascii_names]


@dataclass
class Users:
    """All users: the columns that never change, and the versions of those that do.

    `day` is the sign-up in days since the start, before its move to the busy hours;
    `changed_at[:, n]` is the moment of version n (from 0, the sign-up) and the largest integer
    where there is no such version; `tier`, `country` and `domain` hold each version's values.
    """

    plan: Plan
    day: np.ndarray
    created_at: np.ndarray
    first_name: np.ndarray
    last_name: np.ndarray
    birth_date: np.ndarray
    phone: np.ndarray
    changed_at: np.ndarray
    tier: np.ndarray
    country: np.ndarray
    domain: np.ndarray
    bad_email: np.ndarray

    def __len__(self) -> int:
        return len(self.created_at)

    def version_at(self, moment: int) -> np.ndarray:
        """The number of each user's version just before the moment; -1 before the sign-up."""
        return (self.changed_at < moment).sum(axis=1) - 1

    def table(self, who: np.ndarray, version: np.ndarray, last_login: np.ndarray) -> pa.Table:
        """The rows of these users in these versions, with these last logins."""
        first, last = self.first_name[who], self.last_name[who]
        key = columns.integers(who + FIRST_USER)
        name = pc.binary_join_element_wise(
            pa.array(_plain(FIRST_NAMES)).take(pa.array(first)),
            pa.array(_plain(LAST_NAMES)).take(pa.array(last)),
            key,
            ".",
        )
        email = pc.binary_join_element_wise(
            name, pa.array(DOMAINS).take(pa.array(self.domain[who, version])), "@"
        )
        bad = self.bad_email[who]
        if (bad >= 0).any():
            wrong = [
                BAD_EMAILS[bad[i]].format(name=name[i].as_py()) for i in np.flatnonzero(bad >= 0)
            ]
            email = pc.replace_with_mask(email, pa.array(bad >= 0), pa.array(wrong))
        area = AREA_CODES[self.phone[who] // 100 % len(AREA_CODES)]
        phone = pc.binary_join_element_wise(
            pa.array(np.full(len(who), "+1")),
            columns.integers(area),
            columns.numbered("555 01", self.phone[who] % 100, 2),
            " ",
        )
        phone = pc.if_else(pa.array(self.phone[who] < 0), pa.scalar(None, pa.string()), phone)
        return pa.table(
            {
                "user_id": key,
                "email": email,
                "first_name": columns.pick(first, FIRST_NAMES),
                "last_name": columns.pick(last, LAST_NAMES),
                "phone": phone,
                "birth_date": pa.array(
                    self.birth_date[who], pa.int32(), mask=self.birth_date[who] == 0
                ).cast(pa.date32()),
                "country": columns.pick(self.country[who, version], COUNTRIES),
                "subscription_tier": columns.pick(self.tier[who, version], TIERS),
                "created_at": columns.times(self.created_at[who]),
                # a login changes the row: last_login_at is a column
                "updated_at": columns.times(np.maximum(self.changed_at[who, version], last_login)),
                "last_login_at": columns.times(last_login),
            }
        )


def make_users(plan: Plan) -> Users:
    """Draw the users of the plan, in the order of their sign-up."""
    rng, count = plan.rng("users"), plan.users
    days = np.sort(rng.random(count)) * plan.days
    created_at = plan.moments(days)

    changes = np.minimum(rng.poisson(0.004 * (plan.days - days)), MOST_CHANGES)
    drawn = days[:, None] + np.sort(rng.random((count, MOST_CHANGES))) * (plan.days - days)[:, None]
    changed_at = np.full((count, MOST_CHANGES + 1), np.iinfo(np.int64).max)
    changed_at[:, 0] = created_at
    # Distinct moments, and none at or after the end.
    moments = plan.moments(drawn) + np.arange(1, MOST_CHANGES + 1) * 1000
    there = (np.arange(MOST_CHANGES) < changes[:, None]) & (moments < plan.end)
    changed_at[:, 1:][there] = moments[there]

    what = rng.choice(3, (count, MOST_CHANGES), p=[0.5, 0.2, 0.3])
    tier = np.empty((count, MOST_CHANGES + 1), np.int8)
    country, domain = np.empty_like(tier), np.empty_like(tier)
    tier[:, 0] = rng.choice(3, count, p=[0.72, 0.2, 0.08])
    country[:, 0] = rng.choice(len(COUNTRIES), count, p=COUNTRY_WEIGHTS / COUNTRY_WEIGHTS.sum())
    domain[:, 0] = rng.integers(0, 3, count)
    steps = rng.integers(1, len(COUNTRIES), (count, MOST_CHANGES))
    for n in range(MOST_CHANGES):
        # free -> basic -> premium, then back to free
        tier[:, n + 1] = (tier[:, n] + (what[:, n] == 0)) % 3
        country[:, n + 1] = (country[:, n] + (what[:, n] == 1) * steps[:, n]) % len(COUNTRIES)
        domain[:, n + 1] = (domain[:, n] + (what[:, n] == 2)) % 3

    phone = rng.integers(0, 100 * len(AREA_CODES), count)
    phone[rng.random(count) < 0.1] = -1
    ages = rng.integers(18 * 365, 80 * 365, count)
    birth_date = (plan.start // DAY - ages).astype(np.int32)
    birth_date[rng.random(count) < 0.05] = 0

    bad_email = np.full(count, -1, np.int8)
    bad = plan.rng("users.bad_email").choice(count, plan.dirty_rows(count, count), replace=False)
    bad_email[bad] = np.arange(len(bad)) % len(BAD_EMAILS)
    return Users(
        plan=plan,
        day=days,
        created_at=created_at,
        first_name=rng.integers(0, len(FIRST_NAMES), count),
        last_name=rng.integers(0, len(LAST_NAMES), count),
        birth_date=birth_date,
        phone=phone,
        changed_at=changed_at,
        tier=tier,
        country=country,
        domain=domain,
        bad_email=bad_email,
    )


def make_consents(plan: Plan, users: Users) -> tuple[pa.Table, np.ndarray]:
    """The decisions of the users, one row each, and their moments: users decide on every purpose at
    the sign-up; some withdraw later, and some of those consent again."""
    rng, count = plan.rng("consents"), len(users)
    parts = []
    for number, granted_share in enumerate([0.85, 0.55, 0.7]):
        granted = rng.random(count) < granted_share
        first = np.minimum(users.created_at + MINUTE, plan.end - 1000)
        parts.append((np.arange(count), np.full(count, number), granted, first))
        left = plan.end - first
        withdrawn = np.flatnonzero(granted & (rng.random(count) < 0.12))
        second = first[withdrawn] + (rng.random(len(withdrawn)) * left[withdrawn] / 2).astype(int)
        parts.append(
            (withdrawn, np.full(len(withdrawn), number), np.zeros(len(withdrawn), bool), second)
        )
        again = np.flatnonzero(rng.random(len(withdrawn)) < 0.2)
        third = second[again] + (rng.random(len(again)) * left[withdrawn[again]] / 2).astype(int)
        parts.append(
            (withdrawn[again], np.full(len(again), number), np.ones(len(again), bool), third)
        )
    who, purpose, granted, moment = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(moment, kind="stable")
    moment = moment[order] // 1000 * 1000
    table = pa.table(
        {
            "consent_id": columns.integers(np.arange(1, len(order) + 1)),
            "user_id": columns.integers(who[order] + FIRST_USER),
            "purpose": columns.pick(purpose[order], PURPOSES),
            "is_granted": pa.array(granted[order]),
            "recorded_at": columns.times(moment),
        }
    )
    return table, moment


def make_erasure_requests(plan: Plan, users: Users) -> tuple[pa.Table, np.ndarray]:
    """A few erasure requests, and their moments."""
    rng = plan.rng("erasure_requests")
    count = min(len(users), max(1, min(50, len(users) // 500)))
    who = rng.choice(len(users), count, replace=False)
    created = users.created_at[who]
    moment = created + ((plan.end - created) * rng.random(count)).astype(np.int64) // 1000 * 1000
    order = np.argsort(moment, kind="stable")
    table = pa.table(
        {
            "request_id": columns.numbered("er-", np.arange(1, count + 1), 4),
            "user_id": columns.integers(who[order] + FIRST_USER),
            "requested_at": columns.times(moment[order]),
        }
    )
    return table, moment[order]
