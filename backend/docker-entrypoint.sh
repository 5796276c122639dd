#!/bin/sh
# The way into the container: wait for the database, bring it to head, become the service.
#
# pg_isready looks once and says what it sees. The waiting itself is liftlock's: it is bounded, it ends
# at once when waiting can't help (a wrong password), and it hears SIGTERM.
set -eu

if [ -n "${POSTGRES_SERVER:-}" ]; then
    pg_isready --timeout=1 --host="$POSTGRES_SERVER" --port="${POSTGRES_PORT:-5432}" || true
fi
exec liftlock exec -- "$@"
