#!/bin/sh
# The stand-in's entrypoint. On an empty data folder it creates the cluster, the role and the database that the
# official image's variables name, and runs the files of /docker-entrypoint-initdb.d on a server without TCP.
set -eu

socket=/run/postgresql
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

initialise() {
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    fi
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo "POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE must be given" >&2
        exit 1
    fi
    printf %s "$POSTGRES_PASSWORD" >/tmp/password
    # shellcheck disable=SC2086 # POSTGRES_INITDB_ARGS are several arguments
    initdb -D "$PGDATA" --username="$user" --pwfile=/tmp/password --auth-host=scram-sha-256 --auth-local=trust \
        --encoding=UTF8 --no-locale --no-sync ${POSTGRES_INITDB_ARGS:-}
    rm /tmp/password
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -w -o "-c listen_addresses='' -c unix_socket_directories=$socket" start
    if [ "$database" != postgres ]; then
        createdb --host=$socket --username="$user" -- "$database"
    fi
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
        *.sh) sh "$file" ;;
        *.sql) psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --host=$socket --username="$user" --dbname="$database" --file="$file" ;;
        *.sql.gz) gunzip -c "$file" | psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --host=$socket --username="$user" --dbname="$database" ;;
        esac
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
}

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" $socket
    chown -R postgres:postgres /var/lib/postgresql $socket
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initialise
fi
exec "$@" -c "listen_addresses=*" -c "unix_socket_directories=$socket"
