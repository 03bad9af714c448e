#!/bin/bash
# Builds a Postgres image from Debian's packages, for machines that reach no registry. It reads the variables of the
# official image that docker-compose.yml uses: POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD_FILE.
#   bash infra/docker/postgres-from-debian.sh [IMAGE] [SUITE]
# Needs root, docker and debootstrap; takes about two minutes.
set -euo pipefail
image=${1:-postgres-from-debian}
suite=${2:-bookworm}
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

mirror=$(apt-get indextargets --format '$(SITE) $(CODENAME) $(IDENTIFIER)' 2>/dev/null |
    awk -v suite="$suite" '$2 == suite && $3 == "Packages" { print $1; exit }')
: "${mirror:?apt knows no mirror of Debian $suite on this machine; add one to its sources}"

debootstrap --variant=minbase --include=postgresql "$suite" "$folder" "$mirror" >/dev/null
install -m 755 "$here/postgres-entrypoint.sh" "$folder/usr/local/bin/entrypoint"
(cd "$folder" && rm -rf etc/apt/sources.list etc/hostname etc/resolv.conf var/cache/apt/* var/lib/apt/lists/* var/log/* \
    var/lib/postgresql/* usr/share/doc usr/share/man usr/share/locale)
tar -C "$folder" -c . | docker import --change 'ENTRYPOINT ["entrypoint"]' - "$image" >/dev/null
docker image inspect --format "$image is ready: {{.Id}}" "$image"
