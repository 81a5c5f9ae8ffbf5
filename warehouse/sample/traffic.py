"""Sessions and their events: a funnel from the landing page to the purchase."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.sample import columns
from warehouse.sample.people import FIRST_USER, Users
from warehouse.sample.plan import DAY, MINUTE, SECOND, Plan
from warehouse.sample.shop import Buyers, Orders, Products

EVENT_TYPES = [
    "page_view",
    "search",
    "view_item",
    "add_to_wishlist",
    "share",
    "click",
    "review",
    "purchase",
    "begin_checkout",
    "add_to_cart",
    "remove_from_cart",
    "sign_up",
    "login",
    "logout",
]
(
    PAGE_VIEW,
    SEARCH,
    VIEW_ITEM,
    WISHLIST,
    SHARE,
    CLICK,
    REVIEW,
    PURCHASE,
    CHECKOUT,
    ADD_TO_CART,
    REMOVE_FROM_CART,
    SIGN_UP,
    LOGIN,
    LOGOUT,
) = range(14)
# The frequencies of the first seven event types, if no other is due.
BROWSING = np.cumsum([0.38, 0.14, 0.36, 0.03, 0.01, 0.06])
DEVICES = ["mobile", "desktop", "tablet"]
TABLET = 2
SITE = "https://shop.example.com"
# The first of the URLs, and the one that marks an outdated event.
OUTDATED_URL = SITE + "/outdated"
REFERRERS = [
    "https://search.example.org/",
    "https://social.example.net/feed",
    "https://news.example.com/offers",
    "https://mail.example.org/campaign?id=7",
]
QUERIES = [
    "lamp",
    "tent",
    "bike light",
    "headphones",
    "cookbook",
    "oak table",
    "puzzle",
    "yoga mat",
    "gift",
    "garden chair",
    "camera bag",
    "running shoes",
]
# About how many events are drawn at once and form a row group: limits the memory.
CHUNK = 1 << 19
SESSION_SALT = 11
EVENT_SALT = 13
VISITOR_SALT = 17


@dataclass
class Sessions:
    """All sessions by their start. `user`, `order` and `visitor` are -1 if there is none; a session
    that is never closed has `open_for_ever`. `first_event` numbers the events through all sessions.
    """

    user: np.ndarray
    visitor: np.ndarray
    order: np.ndarray
    start: np.ndarray
    length: np.ndarray
    end: np.ndarray
    is_sign_up: np.ndarray
    device: np.ndarray
    open_for_ever: np.ndarray
    events: np.ndarray
    first_event: np.ndarray

    def __len__(self) -> int:
        return len(self.user)

    @property
    def total_events(self) -> int:
        return int(self.events.sum())

    def key(self, rows: np.ndarray) -> pa.Array:
        return columns.hexed("s", rows, SESSION_SALT)

    def user_key(self, rows: np.ndarray) -> pa.Array:
        user = self.user[rows]
        return columns.integers(user + FIRST_USER, missing=user < 0)

    def visitor_key(self, rows: np.ndarray) -> pa.Array:
        visitor = self.visitor[rows]
        key = columns.hexed("v", visitor, VISITOR_SALT)
        return pc.if_else(pa.array(visitor >= 0), key, pa.scalar(None, pa.string()))

    def table(self, rows: np.ndarray, moment: int) -> pa.Table:
        """The rows of these sessions just before the moment."""
        is_open = self.open_for_ever[rows] | (self.end[rows] >= moment)
        return session_rows(
            self.key(rows),
            self.user_key(rows),
            self.visitor_key(rows),
            self.start[rows],
            columns.times(self.end[rows], missing=is_open),
            self.device[rows],
            np.where(is_open, self.start[rows], self.end[rows]),
        )


def session_rows(
    key: pa.Array,
    user: pa.Array,
    visitor: pa.Array,
    start: np.ndarray,
    end: pa.Array,
    device: np.ndarray,
    updated_at: np.ndarray,
) -> pa.Table:
    """A table of sessions from its columns."""
    return pa.table(
        {
            "session_id": key,
            "user_id": user,
            "visitor_id": visitor,
            "session_start": columns.times(start),
            "session_end": end,
            "device": columns.pick(device, DEVICES),
            "updated_at": columns.times(updated_at),
        }
    )


def make_sessions(plan: Plan, users: Users, orders: Orders, buyers: Buyers) -> Sessions:
    """Draw the sessions: each user's sign-up, one per order, browsing while the user is
    interested, and visits without a user.

    A buyer who left the shop for good loses interest soon after; one who is alive keeps it.
    """
    rng, count = plan.rng("sessions"), len(users)
    created = users.day
    stays = np.minimum(
        np.where(rng.random(count) < 0.25, np.inf, rng.exponential(90, count)), plan.days - created
    )
    left = plan.days - created
    bought = buyers.purchases > 0
    last_order = np.zeros(count)
    np.maximum.at(last_order, orders.user, (orders.ordered_at - plan.start) / DAY)
    after = last_order - created + rng.exponential(15, count)
    stays = np.where(bought, np.where(buyers.is_alive, left, np.minimum(after, left)), stays)
    per_week = rng.gamma(0.8, 0.12 / 0.8, count)
    visits = rng.poisson(per_week * stays / 7)
    browser = np.repeat(np.arange(count), visits)
    browsed = created[browser] + 0.02 + rng.random(len(browser)) * stays[browser]
    browser, browsed = browser[browsed < plan.days], browsed[browsed < plan.days]
    # Moved to the busy hours as the sign-ups are, and never before the user's sign-up.
    browsed_at = np.maximum(plan.moments(browsed), users.created_at[browser] + 5 * MINUTE)
    strangers = rng.poisson(0.18 * (len(browser) + count))
    strange_at = plan.moments(rng.random(strangers) * plan.days)

    user = np.concatenate([np.arange(count), orders.user, browser, np.full(strangers, -1)])
    order = np.concatenate(
        [np.full(count, -1), np.arange(len(orders)), np.full(len(browser) + strangers, -1)]
    )
    is_sign_up = np.zeros(len(user), bool)
    is_sign_up[:count] = True
    has_order = order >= 0
    events = 1 + rng.poisson(rng.gamma(2, max(plan.events_per_session - 1, 0) / 2, len(user)))
    events = np.where(has_order, np.maximum(events, 5), events)
    length = (rng.exponential(45, len(user)) * events * SECOND).astype(np.int64) + SECOND
    length = np.minimum(length, 4 * 60 * MINUTE) // 1000 * 1000
    start = np.concatenate([users.created_at, orders.ordered_at, browsed_at, strange_at])
    # An order's session begins before the order, but not before the sign-up.
    buying = np.flatnonzero(has_order)
    length[buying] = np.minimum(length[buying], start[buying] - users.created_at[user[buying]])
    start[buying] -= length[buying]
    length = np.minimum(length, plan.end - 1000 - start)
    end = start + length + np.where(has_order, rng.integers(1, 60, len(user)) * SECOND, 0)
    end = np.minimum(end, plan.end - 1000)
    open_for_ever = rng.random(len(user)) < 0.01
    device = rng.choice(3, len(user), p=[0.58, 0.36, 0.06])

    by_start = np.lexsort((order, user, start))
    by_start = by_start[start[by_start] < plan.end]
    user, order, start, length, end, is_sign_up, device, open_for_ever, events = (
        x[by_start]
        for x in (user, order, start, length, end, is_sign_up, device, open_for_ever, events)
    )
    visitor = _visitors(plan.rng("visitors"), count, user, device, is_sign_up)
    first_event = np.cumsum(events) - events
    return Sessions(
        *(user, visitor, order, start, length, end, is_sign_up, device, open_for_ever, events),
        first_event,
    )


def _visitors(
    rng: np.random.Generator,
    users: int,
    user: np.ndarray,
    device: np.ndarray,
    is_sign_up: np.ndarray,
) -> np.ndarray:
    """The browser of each session: one for each kind of device of a user.

    Some users share their tablet with the user before them. A session without a user is by somebody
    who signs up soon after in the same browser, by somebody who never does, or without a cookie.
    """
    visitor = user * len(DEVICES) + device
    shares = (rng.random(users) < 0.1)[user] & (device == TABLET) & (user > 0)
    visitor[shares] -= len(DEVICES)
    fate = rng.random(len(user))
    ahead = rng.integers(0, 20, len(user))
    stranger = user < 0
    visitor[stranger] = users * len(DEVICES) + np.flatnonzero(stranger)
    for kind in range(len(DEVICES)):
        sign_ups = np.flatnonzero(is_sign_up & (device == kind))
        early = np.flatnonzero(stranger & (device == kind) & (fate < 0.5))
        next_one = np.searchsorted(sign_ups, early) + ahead[early]
        early, next_one = early[next_one < len(sign_ups)], next_one[next_one < len(sign_ups)]
        visitor[early] = visitor[sign_ups[next_one]]
    visitor[stranger & (fate > 0.9)] = -1
    return visitor


@dataclass
class Events:
    """A part of the events, sorted by time: `number` among all events, `moment`, and the rows."""

    number: np.ndarray
    moment: np.ndarray
    table: pa.Table


class Shopfront:
    """The pools of urls and properties that the events pick from."""

    def __init__(self, products: Products) -> None:
        keys = products.key.to_pylist()
        prices = [f"{cents // 100}.{cents % 100:02d}" for cents in products.cents]
        fixed = ["/", "/offers", "/account", "/login", "/sign-up", "/cart", "/checkout", "/thanks"]
        self.front, self.offers, self.account, self.login, self.sign_up = range(1, 6)
        self.cart, self.checkout, self.thanks = 6, 7, 8
        self.search = 1 + len(fixed)
        self.product = self.search + len(QUERIES)
        self.referrer = self.product + len(keys)
        self.urls = pa.array(
            [OUTDATED_URL]
            + [SITE + path for path in fixed]
            + [f"{SITE}/search?q={query.replace(' ', '+')}" for query in QUERIES]
            + [f"{SITE}/product/{key}" for key in keys]
            + REFERRERS
        )
        self.method = 0
        self.query = 3
        self.view = self.query + len(QUERIES)
        self.add = self.view + len(keys)
        self.purchase = self.add + len(keys)
        self.properties = pa.array(
            [f'{{"method": "{name}"}}' for name in ("password", "google", "apple")]
            + [f'{{"query": "{query}"}}' for query in QUERIES]
            + [
                f'{{"product_id": "{key}", "price": {price}}}'
                for key, price in zip(keys, prices, strict=True)
            ]
            + [f'{{"product_id": "{key}", "quantity": 1}}' for key in keys]
        )


def make_events(
    plan: Plan, sessions: Sessions, orders: Orders, products: Products
) -> Iterator[Events]:
    """The events, one row group at a time, ordered by the start of their sessions."""
    shop = Shopfront(products)
    cuts = np.searchsorted(sessions.first_event, np.arange(0, sessions.total_events, CHUNK))
    cuts = np.unique([*cuts, len(sessions)])
    for chunk, (first, last) in enumerate(pairwise(cuts)):
        rows = np.arange(first, last)
        yield _events(plan.rng("events", chunk), sessions, rows, orders, shop, len(products), plan)


def _events(
    rng: np.random.Generator,
    sessions: Sessions,
    rows: np.ndarray,
    orders: Orders,
    shop: Shopfront,
    products: int,
    plan: Plan,
) -> Events:
    """The events of these sessions."""
    events, order = sessions.events[rows], sessions.order[rows]
    known, signs_up = sessions.user[rows] >= 0, sessions.is_sign_up[rows]
    # The last step that a session reaches: 1 cart, 2 checkout, 3 purchase.
    stage = np.searchsorted([0.78, 0.93], rng.random(len(rows)), side="right")
    stage = np.where(order >= 0, 3, np.where(events >= 5, stage, 0))
    logs_out = (stage == 0) & known & (events >= 4) & (rng.random(len(rows)) < 0.1)
    logs_in = known & ~signs_up & (events >= 5) & (rng.random(len(rows)) < 0.6)

    place = np.repeat(np.arange(len(rows)), events)
    number = np.arange(len(place)) + sessions.first_event[rows[0]]
    step = number - sessions.first_event[rows][place]
    to_end = events[place] - 1 - step
    kind = np.searchsorted(BROWSING, rng.random(len(place)), side="right").astype(np.int8)
    kind[step == 0] = PAGE_VIEW
    kind[(step == 1) & logs_in[place]] = LOGIN
    kind[(step == 0) & signs_up[place]] = SIGN_UP
    due = to_end + 3 - stage[place]
    in_funnel = (stage[place] > 0) & (due <= 3)
    kind[in_funnel] = np.array([PURCHASE, CHECKOUT, ADD_TO_CART, VIEW_ITEM], np.int8)[
        due[in_funnel]
    ]
    gives_up = (stage[place] == 1) & (to_end == 4) & (rng.random(len(place)) < 0.2) & (step > 1)
    kind[gives_up] = REMOVE_FROM_CART
    # the removed product is the one added just before
    before = np.flatnonzero(gives_up) - 1
    kind[before] = ADD_TO_CART
    kind[(to_end == 0) & logs_out[place]] = LOGOUT

    # Few products get most views; a product that is added to the cart was viewed just before.
    product = (rng.random(len(place)) ** 2 * products).astype(np.int64)
    bought = in_funnel & (order[place] >= 0)
    product[bought] = orders.first_product[order[place[bought]]]
    follows = np.flatnonzero(in_funnel & (due == 2) & (order[place] < 0))
    product[follows] = product[follows - 1]
    product[before + 1] = product[before]

    share = (step + rng.random(len(place))) / events[place]
    moment = (
        sessions.start[rows][place]
        + (share * sessions.length[rows][place]).astype(np.int64) // 1000 * 1000
    )
    starts = step == 0
    moment[starts] = sessions.start[rows]
    buys = kind == PURCHASE
    moment[buys] = orders.ordered_at[order[place[buys]]]

    query = rng.integers(0, len(QUERIES), len(place))
    of_page = np.array([shop.front, shop.offers, shop.account])[
        np.searchsorted([0.7, 0.9], rng.random(len(place)), side="right")
    ]
    page = of_page.astype(np.int32)
    page[kind == SEARCH] = shop.search + query[kind == SEARCH]
    on_product = np.isin(kind, [VIEW_ITEM, WISHLIST, SHARE, CLICK, REVIEW, ADD_TO_CART])
    page[on_product] = shop.product + product[on_product]
    for one, where in (
        (REMOVE_FROM_CART, shop.cart),
        (CHECKOUT, shop.checkout),
        (PURCHASE, shop.thanks),
        (SIGN_UP, shop.sign_up),
        (LOGIN, shop.login),
    ):
        page[kind == one] = where
    referrer = np.empty_like(page)
    referrer[1:] = page[:-1]
    came_from = rng.integers(-len(REFERRERS), len(REFERRERS), len(rows))
    referrer[starts] = np.where(came_from < 0, -1, shop.referrer + came_from)

    properties = np.full(len(place), -1, np.int32)
    entering = np.isin(kind, [LOGIN, SIGN_UP])
    properties[entering] = shop.method + query[entering] % 3
    properties[kind == SEARCH] = shop.query + query[kind == SEARCH]
    looks = on_product & (kind != ADD_TO_CART)
    properties[looks] = shop.view + product[looks]
    adds = (kind == ADD_TO_CART) | (kind == REMOVE_FROM_CART)
    properties[adds] = shop.add + product[adds]
    properties[buys] = shop.purchase + np.arange(buys.sum())
    paid = order[place[buys]]
    values = [f"{cents // 100}.{cents % 100:02d}" for cents in orders.cents[paid].tolist()]
    texts = pa.array(
        [
            f'{{"order_id": "{key}", "value": {value}}}'
            for key, value in zip(orders.key(paid).to_pylist(), values, strict=True)
        ],
        pa.string(),
    )

    by_time = np.argsort(moment, kind="stable")
    number, moment, place, kind = number[by_time], moment[by_time], place[by_time], kind[by_time]
    # Each user once: pyarrow does not write a dictionary with repeated values deterministically.
    users, numbers = np.unique(sessions.user[rows], return_inverse=True)
    user = np.where(known[place], numbers[place], -1)
    return Events(
        number,
        moment,
        event_rows(
            columns.uuids(number, plan.seed + EVENT_SALT),
            columns.pick(user, columns.integers(users + FIRST_USER)),
            columns.pick(place, sessions.key(rows)),
            columns.pick(kind, EVENT_TYPES),
            columns.times(moment),
            columns.pick(page[by_time], shop.urls),
            columns.pick(referrer[by_time], shop.urls),
            columns.pick(properties[by_time], pa.concat_arrays([shop.properties, texts])),
        ),
    )


def event_rows(
    key: pa.Array,
    user: pa.Array,
    session: pa.Array,
    kind: pa.Array,
    moment: pa.Array,
    page: pa.Array,
    referrer: pa.Array,
    properties: pa.Array,
) -> pa.Table:
    """A table of events from its columns."""
    return pa.table(
        {
            "event_id": key,
            "user_id": user,
            "session_id": session,
            "event_type": kind,
            "event_timestamp": moment,
            "page_url": page,
            "referrer_url": referrer,
            "properties": properties,
        }
    )


def with_outdated_urls(rows: pa.Table, places: np.ndarray) -> pa.Table:
    """The events, with another page URL at these places."""
    if not len(places):
        return rows
    page = rows["page_url"].combine_chunks()
    indices = page.indices.to_numpy().copy()
    indices[places] = 0
    return rows.set_column(
        rows.schema.get_field_index("page_url"), "page_url", columns.pick(indices, page.dictionary)
    )


def no_events() -> pa.Table:
    """An empty table of events."""
    none = columns.nulls(0)
    return event_rows(
        none, none, none, none, columns.times(np.empty(0, np.int64)), none, none, none
    )
