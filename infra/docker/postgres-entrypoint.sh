#!/bin/bash
# Makes the data folder the first time, then becomes Postgres. Part of the image of postgres-from-debian.sh.
set -euo pipefail
bin=$(echo /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

mkdir -p /run/postgresql
chown postgres:postgres /var/lib/postgresql /run/postgresql
if [ ! -d "$data" ]; then
    # Made beside its place and moved there whole, so that a power cut leaves nothing half made.
    rm -rf "$data.new"
    install -o postgres -m 400 "$POSTGRES_PASSWORD_FILE" /run/postgresql/password
    as_postgres "$bin/initdb" -D "$data.new" -U "$POSTGRES_USER" --pwfile=/run/postgresql/password \
        --auth-local=trust --auth-host=scram-sha-256 -E UTF8 --locale=C.UTF-8 >/dev/null
    rm /run/postgresql/password
    echo "host all all all scram-sha-256" >> "$data.new/pg_hba.conf"
    as_postgres "$bin/pg_ctl" -D "$data.new" -w -o "-c listen_addresses=''" start >/dev/null
    as_postgres "$bin/createdb" -h /run/postgresql -U "$POSTGRES_USER" "$POSTGRES_DB"
    as_postgres "$bin/pg_ctl" -D "$data.new" -w stop >/dev/null
    mv "$data.new" "$data"
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups "$bin/postgres" -D "$data" -c listen_addresses='*'
