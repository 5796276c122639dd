#!/bin/sh
# Migrate by hand: on the host (./run-migrations.sh in backend/) or in the container
# (docker-compose exec backend ./run-migrations.sh). Arguments are those of `liftlock upgrade`.
#
# POSTGRES_SERVER, POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and POSTGRES_PORT (default 5432)
# name the database. If it can't be used, `liftlock doctor` finds out why.
set -eu

cd "$(dirname "$0")"
if [ -x .venv/bin/liftlock ]; then
    PATH="$PWD/.venv/bin:$PATH"
fi
if ! command -v liftlock >/dev/null; then
    echo "liftlock isn't installed here: run \`make up\` once in the project's root (it makes backend/.venv)," >&2
    echo "or use the container: docker-compose exec backend ./run-migrations.sh" >&2
    exit 2
fi
exec liftlock upgrade "$@"
