#!/bin/sh
# The container's entry point: wait for the database, migrate it to head, become the service.
#
# pg_isready prints the state of the database once. liftlock does the waiting: it has a limit, it fails
# at once if waiting can't help (a wrong password), and it handles SIGTERM.
set -eu

if [ -n "${POSTGRES_SERVER:-}" ]; then
    pg_isready --timeout=1 --host="$POSTGRES_SERVER" --port="${POSTGRES_PORT:-5432}" || true
fi
exec liftlock exec -- "$@"
