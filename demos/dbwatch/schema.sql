-- What dbwatch watches: a shop's orders. Every change is announced, whoever makes it and by whatever program.
create table orders (
    id bigint generated always as identity primary key,
    customer text not null,
    item text not null,
    quantity integer not null check (quantity > 0),
    status text not null default 'new' check (status in ('new', 'packed', 'sent', 'returned')),
    changed_at timestamptz not null default now()
);

create function announce_order() returns trigger language plpgsql as $$
begin
    -- Only which one: a payload has at most 8,000 bytes, and what is announced in a transaction that is rolled back,
    -- or twice in one, is PostgreSQL's to sort out.
    perform pg_notify('orders', coalesce(new.id, old.id)::text);
    return null;
end $$;

create trigger announce_order after insert or update or delete on orders
    for each row execute function announce_order();

create function announce_all_orders() returns trigger language plpgsql as $$
begin
    perform pg_notify('orders', '');  -- the empty name: any of them
    return null;
end $$;

create trigger announce_all_orders after truncate on orders execute function announce_all_orders();
