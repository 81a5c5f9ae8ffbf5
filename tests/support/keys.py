"""The tables of the source contract that the sample has, each with its primary key."""

KEYS = {
    "users": "user_id",
    "categories": "category_id",
    "products": "product_id",
    "orders": "order_id",
    "order_items": "order_item_id",
    "payments": "payment_id",
    "user_sessions": "session_id",
    "events": "event_id",
    "consents": "consent_id",
    "erasure_requests": "request_id",
}
