#!/bin/sh
# python.sh IMAGE CACHE: make IMAGE, a stand-in for the official slim Python image: Debian 12 with its own Python.
set -eu
image=$1 cache=$2
certificates=/etc/ssl/certs/ca-certificates.crt
key=$(cat "$0" "$certificates" | sha256sum | cut -c1-16)
tar=$cache/python-$key.tar

if [ ! -s "$tar" ]; then
    mkdir -p "$cache"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cat >"$work/customize.sh" <<'IN'
set -eu
root=$1
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
ln -s /usr/bin/python3 "$root/usr/local/bin/python3"
ln -s python3 "$root/usr/local/bin/python"
# The certificates of this machine, for pip and uv where a proxy has a certificate authority of its own.
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
rm -rf "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/*
IN
    # usr-is-merged instead of usrmerge, which depends on perl.
    mmdebstrap --quiet --format=tar --mode=root --variant=minbase \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --include=usr-is-merged,ca-certificates,tzdata,netbase,python3-minimal,python3,python3-venv,python3-pip \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --customize-hook="sh $work/customize.sh \"\$1\"" \
        bookworm "$work/image.tar"
    mv "$work/image.tar" "$tar"
fi
docker import \
    --change 'CMD ["python3"]' \
    --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV LANG=C.UTF-8' \
    --change "ENV SSL_CERT_FILE=$certificates" \
    --change "ENV PIP_CERT=$certificates" \
    "$tar" "$image"
