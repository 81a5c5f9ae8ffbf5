"""Small schemas with the shapes of known shops, and what each of their columns is.

`TRUTH` names, for each table of the contract, the table of the source and the expressions that are
right. A proposal may leave a column open, but must not take anything else. `OPEN` names the columns
that cannot be known from the schema.
"""

from __future__ import annotations

# Prefixed columns, no foreign keys, timestamps without time zone.
RETAIL = """
create table departments (department_id int primary key, department_name varchar(45));
create table categories (
    category_id int primary key, category_department_id int, category_name varchar(45)
);
create table products (
    product_id int primary key, product_category_id int, product_name varchar(45),
    product_description varchar(255), product_price float, product_image varchar(255)
);
create table customers (
    customer_id int primary key, customer_fname varchar(45), customer_lname varchar(45),
    customer_email varchar(45), customer_password varchar(45), customer_state varchar(45)
);
create table orders (
    order_id int primary key, order_date timestamp, order_customer_id int, order_status varchar(45)
);
create table order_items (
    order_item_id int primary key, order_item_order_id int, order_item_product_id int,
    order_item_quantity int, order_item_subtotal float, order_item_product_price float
);
insert into orders values (1, '2013-07-25', 1, 'CLOSED'), (2, '2013-07-25', 1, 'PENDING_PAYMENT');
"""
# Keys of several columns, dates, discounts, no status and no e-mail.
NORTHWIND = """
create table categories (category_id smallint primary key, category_name varchar(15));
create table suppliers (
    supplier_id smallint primary key, company_name varchar(40), contact_name varchar(30),
    country varchar(15), phone varchar(24)
);
create table products (
    product_id smallint primary key, product_name varchar(40),
    supplier_id smallint references suppliers, category_id smallint references categories,
    unit_price real, units_in_stock smallint, discontinued int
);
create table customers (
    customer_id varchar(5) primary key, company_name varchar(40), contact_name varchar(30),
    country varchar(15), phone varchar(24)
);
create table employees (
    employee_id smallint primary key, last_name varchar(20), first_name varchar(10),
    birth_date date, reports_to smallint references employees
);
create table orders (
    order_id smallint primary key, customer_id varchar(5) references customers,
    employee_id smallint references employees, order_date date, required_date date,
    shipped_date date, freight real, ship_country varchar(15)
);
create table order_details (
    order_id smallint references orders, product_id smallint references products,
    unit_price real, quantity smallint, discount real, primary key (order_id, product_id)
);
"""
# Rentals instead of orders, partitioned payments, links instead of references.
PAGILA = """
create table customer (
    customer_id int primary key, store_id int, first_name text, last_name text, email text,
    address_id int, activebool boolean, create_date date, last_update timestamptz
);
create table staff (
    staff_id int primary key, first_name text, last_name text, email text, username text
);
create table category (category_id int primary key, name text, last_update timestamptz);
create table film (
    film_id int primary key, title text, description text, rental_rate numeric(4, 2),
    last_update timestamptz
);
create table film_category (
    film_id int references film, category_id int references category,
    primary key (film_id, category_id)
);
create table inventory (inventory_id int primary key, film_id int references film);
create table rental (
    rental_id int primary key, rental_date timestamptz, inventory_id int references inventory,
    customer_id int references customer, return_date timestamptz, last_update timestamptz
);
create table payment (
    payment_id int, customer_id int, rental_id int, amount numeric(5, 2),
    payment_date timestamptz, primary key (payment_date, payment_id)
) partition by range (payment_date);
create table payment_p1 partition of payment default;
"""
# Lines in two tables, with a price in both; several versions of a line; reserved words.
MEDUSA = """
create type order_status_enum as enum ('pending', 'completed', 'draft', 'archived', 'canceled');
create table customer (
    id text primary key, company_name text, first_name text, last_name text, email text,
    phone text, has_account boolean, created_at timestamptz, updated_at timestamptz,
    deleted_at timestamptz
);
create table product_category (
    id text primary key, name text, parent_category_id text references product_category,
    updated_at timestamptz, deleted_at timestamptz
);
create table product (
    id text primary key, title text, description text, status text, created_at timestamptz,
    updated_at timestamptz, deleted_at timestamptz
);
create table product_category_product (
    product_id text references product, product_category_id text references product_category,
    primary key (product_id, product_category_id)
);
create table "order" (
    id text primary key, customer_id text, version int, status order_status_enum,
    is_draft_order boolean, email text, currency_code text, created_at timestamptz,
    updated_at timestamptz, deleted_at timestamptz, canceled_at timestamptz
);
create table order_line_item (
    id text primary key, title text, variant_id text, product_id text, unit_price numeric,
    raw_unit_price jsonb, updated_at timestamptz, deleted_at timestamptz
);
create table order_item (
    id text primary key, order_id text references "order", version int,
    item_id text references order_line_item, quantity numeric, fulfilled_quantity numeric,
    unit_price numeric, updated_at timestamptz, deleted_at timestamptz
);
create table payment_session (
    id text primary key, amount numeric, status text, created_at timestamptz
);
create table payment (
    id text primary key, amount numeric, currency_code text, provider_id text,
    payment_session_id text references payment_session, captured_at timestamptz,
    created_at timestamptz, updated_at timestamptz, deleted_at timestamptz
);
"""
# A prefix before every name, no foreign keys, lines of variants, carts among the orders.
SPREE = """
create table spree_users (
    id bigint primary key, email varchar, encrypted_password varchar, last_sign_in_at timestamp,
    current_sign_in_at timestamp, created_at timestamp, updated_at timestamp, deleted_at timestamp
);
create table spree_orders (
    id bigint primary key, number varchar, total numeric(10, 2), item_total numeric(10, 2),
    state varchar, user_id bigint, completed_at timestamp, payment_state varchar,
    shipment_state varchar, created_at timestamp, updated_at timestamp, currency varchar,
    created_by_id bigint, canceled_at timestamp
);
create table spree_line_items (
    id bigint primary key, variant_id bigint, order_id bigint, quantity int,
    price numeric(10, 2), cost_price numeric(10, 2), adjustment_total numeric(10, 2),
    promo_total numeric(10, 2), created_at timestamp, updated_at timestamp
);
create table spree_variants (id bigint primary key, sku varchar, product_id bigint);
create table spree_prices (id bigint primary key, variant_id bigint, amount numeric(10, 2));
create table spree_products (
    id bigint primary key, name varchar, description text, deleted_at timestamp,
    created_at timestamp, updated_at timestamp
);
create table spree_taxonomies (id bigint primary key, name varchar);
create table spree_taxons (
    id bigint primary key, parent_id bigint, name varchar, taxonomy_id bigint, updated_at timestamp
);
create table spree_products_taxons (id bigint primary key, product_id bigint, taxon_id bigint);
create table spree_payments (
    id bigint primary key, amount numeric(10, 2), order_id bigint, payment_method_id bigint,
    state varchar, created_at timestamp, updated_at timestamp
);
insert into spree_orders (id, state, currency) values (1, 'complete', 'USD'), (2, 'cart', 'USD');
"""
# Refunds among the orders, times in UTC by name only, line totals, statuses of its own.
WOOCOMMERCE = """
create table wp_users (
    id bigint primary key, user_login varchar(60), user_pass varchar(255), user_email varchar(100),
    user_registered timestamp, user_status int, display_name varchar(250)
);
create table wp_posts (
    id bigint primary key, post_title text, post_status varchar(20), post_type varchar(20)
);
create table wp_terms (term_id bigint primary key, name varchar(200));
create table wp_options (option_id bigint primary key, option_name text);
create table wp_wc_orders (
    id bigint primary key, status varchar(20), currency varchar(10), type varchar(20),
    total_amount numeric(26, 8), customer_id bigint, billing_email varchar(320),
    date_created_gmt timestamp, date_updated_gmt timestamp, parent_order_id bigint
);
create table wp_wc_order_stats (
    order_id bigint primary key, date_created timestamp, date_created_gmt timestamp,
    net_total float, status varchar(20), customer_id bigint
);
create table wp_wc_order_product_lookup (
    order_item_id bigint primary key, order_id bigint, product_id bigint, customer_id bigint,
    date_created timestamp, product_qty int, product_net_revenue float, product_gross_revenue float
);
create table wp_wc_customer_lookup (
    customer_id bigint primary key, user_id bigint, first_name varchar(255),
    last_name varchar(255), email varchar(100), date_registered timestamp, country char(2)
);
create table wp_woocommerce_sessions (session_id bigint primary key, session_key char(32));
insert into wp_wc_orders (id, status, type, currency, date_created_gmt) values
    (1, 'wc-completed', 'shop_order', 'EUR', '2026-01-01'),
    (2, 'wc-refunded', 'shop_order_refund', 'EUR', '2026-01-01');
"""
# One folder of an application per prefix, net and gross prices, a framework's own sessions.
SALEOR = """
create table account_user (
    id bigint primary key, password varchar(128), last_login timestamptz, email varchar(254),
    is_staff boolean, date_joined timestamptz, first_name varchar(256), last_name varchar(256),
    updated_at timestamptz
);
create table account_address (id bigint primary key, first_name varchar(256), country varchar(2));
create table product_category (
    id bigint primary key, name varchar(250), parent_id bigint references product_category,
    updated_at timestamptz
);
create table product_producttype (id bigint primary key, name varchar(250), kind varchar(32));
create table product_product (
    id bigint primary key, name varchar(250), description jsonb, description_plaintext text,
    category_id bigint references product_category,
    product_type_id bigint references product_producttype, created_at timestamptz,
    updated_at timestamptz
);
create table product_productvariant (
    id bigint primary key, sku varchar(255), product_id bigint references product_product
);
create table order_order (
    id uuid primary key, number int, created_at timestamptz, updated_at timestamptz,
    status varchar(32), charge_status varchar(32), user_id bigint references account_user,
    user_email varchar(254), currency varchar(3), total_net_amount numeric(20, 3),
    total_gross_amount numeric(20, 3)
);
create table order_orderline (
    id uuid primary key, created_at timestamptz, order_id uuid references order_order,
    variant_id bigint references product_productvariant, product_name varchar(386),
    quantity int, quantity_fulfilled int, unit_price_net_amount numeric(20, 3),
    unit_price_gross_amount numeric(20, 3), total_price_net_amount numeric(20, 3)
);
create table payment_payment (
    id bigint primary key, gateway varchar(255), created_at timestamptz, modified_at timestamptz,
    charge_status varchar(20), total numeric(20, 3), captured_amount numeric(20, 3),
    order_id uuid references order_order, payment_method_type varchar(256)
);
create table django_session (
    session_key varchar(40) primary key, session_data text, expire_date timestamptz
);
insert into order_order (id, status, created_at, currency) values
    ('00000000-0000-4000-8000-000000000001', 'canceled', '2026-01-01', 'EUR');
"""

SHAPES = {
    "retail": RETAIL,
    "northwind": NORTHWIND,
    "pagila": PAGILA,
    "medusa": MEDUSA,
    "spree": SPREE,
    "woocommerce": WOOCOMMERCE,
    "saleor": SALEOR,
}

# The columns whose value is the column of this name, whatever the conversion.
TRUTH: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    "retail": {
        "users": (
            "customers",
            {
                "user_id": "customer_id",
                "email": "customer_email",
                "first_name": "customer_fname",
                "last_name": "customer_lname",
            },
        ),
        "categories": (
            "categories",
            {"category_id": "category_id", "category_name": "category_name"},
        ),
        "products": (
            "products",
            {
                "product_id": "product_id",
                "category_id": "product_category_id",
                "product_name": "product_name",
                "description": "product_description",
                "unit_price": "product_price",
            },
        ),
        "orders": (
            "orders",
            {
                "order_id": "order_id",
                "user_id": "order_customer_id",
                "order_status": "order_status",
                "order_date": "order_date",
            },
        ),
        "order_items": (
            "order_items",
            {
                "order_item_id": "order_item_id",
                "order_id": "order_item_order_id",
                "product_id": "order_item_product_id",
                "quantity": "order_item_quantity",
                "price_at_purchase": "order_item_product_price",
            },
        ),
    },
    "northwind": {
        "users": (
            "customers",
            {"user_id": "customer_id", "phone": "phone", "country": "country"},
        ),
        "categories": (
            "categories",
            {"category_id": "category_id", "category_name": "category_name"},
        ),
        "products": (
            "products",
            {
                "product_id": "product_id",
                "category_id": "category_id",
                "product_name": "product_name",
                "unit_price": "unit_price",
            },
        ),
        "orders": (
            "orders",
            {"order_id": "order_id", "user_id": "customer_id", "order_date": "order_date"},
        ),
        "order_items": (
            "order_details",
            {
                "order_item_id": "order_id product_id",
                "order_id": "order_id",
                "product_id": "product_id",
                "quantity": "quantity",
            },
        ),
    },
    "pagila": {
        "users": (
            "customer",
            {
                "user_id": "customer_id",
                "email": "email",
                "first_name": "first_name",
                "last_name": "last_name",
                "created_at": "create_date",
                "updated_at": "last_update",
            },
        ),
        "categories": (
            "category",
            {"category_id": "category_id", "category_name": "name", "updated_at": "last_update"},
        ),
        "payments": (
            "payment",
            {
                "payment_id": "payment_date payment_id",
                "amount": "amount",
                "paid_at": "payment_date",
            },
        ),
    },
    "medusa": {
        "users": (
            "customer",
            {
                "user_id": "id",
                "email": "email",
                "first_name": "first_name",
                "last_name": "last_name",
                "phone": "phone",
                "created_at": "created_at",
                "updated_at": "updated_at",
                "_deleted_at": "deleted_at",
            },
        ),
        "categories": (
            "product_category",
            {
                "category_id": "id",
                "parent_id": "parent_category_id",
                "category_name": "name",
                "updated_at": "updated_at",
                "_deleted_at": "deleted_at",
            },
        ),
        "products": (
            "product",
            {
                "product_id": "id",
                "product_name": "title",
                "description": "description",
                "created_at": "created_at",
                "updated_at": "updated_at",
                "_deleted_at": "deleted_at",
            },
        ),
        "orders": (
            "order",
            {
                "order_id": "id",
                "user_id": "customer_id",
                "order_status": "status",
                "currency": "currency_code",
                "order_date": "created_at",
                "updated_at": "updated_at",
                "_deleted_at": "deleted_at",
            },
        ),
        "order_items": (
            "order_item",
            {
                "order_item_id": "id",
                "order_id": "order_id",
                "product_id": "product_id",
                "quantity": "quantity",
                "updated_at": "updated_at",
                "_deleted_at": "deleted_at",
            },
        ),
        "payments": (
            "payment",
            {
                "payment_id": "id",
                "amount": "amount",
                "paid_at": "captured_at",
                "updated_at": "updated_at",
                "_deleted_at": "deleted_at",
            },
        ),
    },
    "spree": {
        "users": (
            "spree_users",
            {
                "user_id": "id",
                "email": "email",
                "created_at": "created_at",
                "updated_at": "updated_at",
                "last_login_at": "current_sign_in_at",
                "_deleted_at": "deleted_at",
            },
        ),
        "categories": (
            "spree_taxons",
            {
                "category_id": "id",
                "parent_id": "parent_id",
                "category_name": "name",
                "updated_at": "updated_at",
            },
        ),
        "products": (
            "spree_products",
            {
                "product_id": "id",
                "product_name": "name",
                "description": "description",
                "created_at": "created_at",
                "updated_at": "updated_at",
                "_deleted_at": "deleted_at",
            },
        ),
        "orders": (
            "spree_orders",
            {
                "order_id": "id",
                "user_id": "user_id",
                "order_status": "state",
                "currency": "currency",
                "updated_at": "updated_at",
            },
        ),
        "order_items": (
            "spree_line_items",
            {
                "order_item_id": "id",
                "order_id": "order_id",
                "product_id": "product_id",
                "quantity": "quantity",
                "updated_at": "updated_at",
            },
        ),
        "payments": (
            "spree_payments",
            {
                "payment_id": "id",
                "order_id": "order_id",
                "payment_status": "state",
                "amount": "amount",
                "updated_at": "updated_at",
            },
        ),
    },
    "woocommerce": {
        "users": (
            "wp_users",
            {"user_id": "id", "email": "user_email", "created_at": "user_registered"},
        ),
        "orders": (
            "wp_wc_orders",
            {
                "order_id": "id",
                "user_id": "customer_id",
                "order_status": "status",
                "currency": "currency",
                "order_date": "date_created_gmt",
                "updated_at": "date_updated_gmt",
            },
        ),
        "order_items": (
            "wp_wc_order_product_lookup",
            {
                "order_item_id": "order_item_id",
                "order_id": "order_id",
                "product_id": "product_id",
                "quantity": "product_qty",
            },
        ),
    },
    "saleor": {
        "users": (
            "account_user",
            {
                "user_id": "id",
                "email": "email",
                "first_name": "first_name",
                "last_name": "last_name",
                "created_at": "date_joined",
                "updated_at": "updated_at",
                "last_login_at": "last_login",
            },
        ),
        "categories": (
            "product_category",
            {
                "category_id": "id",
                "parent_id": "parent_id",
                "category_name": "name",
                "updated_at": "updated_at",
            },
        ),
        "products": (
            "product_product",
            {
                "product_id": "id",
                "category_id": "category_id",
                "product_name": "name",
                "description": "description_plaintext",
                "created_at": "created_at",
                "updated_at": "updated_at",
            },
        ),
        "orders": (
            "order_order",
            {
                "order_id": "id",
                "user_id": "user_id",
                "order_status": "status",
                "currency": "currency",
                "order_date": "created_at",
                "updated_at": "updated_at",
            },
        ),
        "order_items": (
            "order_orderline",
            {
                "order_item_id": "id",
                "order_id": "order_id",
                "product_id": "product_id",
                "quantity": "quantity",
            },
        ),
        "payments": (
            "payment_payment",
            {
                "payment_id": "id",
                "order_id": "order_id",
                "payment_method": "payment_method_type",
                "updated_at": "modified_at",
            },
        ),
    },
}

# Left to a person, with --time-zone given; and the questions about rows.
OPEN: dict[str, set[str]] = {
    "retail": {"orders.currency"},
    "northwind": {"orders.order_status", "orders.currency", "order_items.price_at_purchase"},
    "pagila": {"orders", "payments.order_id", "payments.payment_status"},
    "medusa": {
        *("products.category_id", "orders.order_status: draft", "orders.order_status: archived"),
        *("orders is_draft_order", "order_items.price_at_purchase", "order_items version"),
        *("payments.order_id", "payments.payment_status"),
    },
    "spree": {
        *("products.category_id", "orders.order_date", "orders.order_status: cart"),
        *("order_items.price_at_purchase", "payments.paid_at"),
    },
    "woocommerce": {
        *("orders.order_status: wc-completed", "orders.order_status: wc-refunded"),
        *("orders type", "order_items.price_at_purchase"),
    },
    "saleor": {
        *("order_items.price_at_purchase", "payments.payment_status", "payments.amount"),
        "payments.paid_at",
    },
}
