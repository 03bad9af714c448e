#!/bin/bash
# Builds a base image with Python from Debian's packages, where no registry can be reached:
#   bash infra/docker/base-from-debian.sh [IMAGE] [SUITE]
# The mirror is the one that this machine's own apt uses. Needs root, docker and debootstrap; takes under a minute.
set -euo pipefail
image=${1:-python-base}
suite=${2:-bookworm}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

mirror=$(apt-get indextargets --format '$(SITE) $(CODENAME) $(IDENTIFIER)' 2>/dev/null |
    awk -v suite="$suite" '$2 == suite && $3 == "Packages" { print $1; exit }')
: "${mirror:?apt knows no mirror of Debian $suite on this machine; add one to its sources}"

debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$folder" "$mirror" >/dev/null
# What belongs to the machine that built it, and what no container reads.
(cd "$folder" && rm -rf etc/apt/sources.list etc/hostname etc/resolv.conf var/cache/apt/* var/lib/apt/lists/* var/log/* \
    usr/share/doc usr/share/man usr/share/locale)
tar -C "$folder" -c . | docker import --change 'CMD ["python3"]' - "$image" >/dev/null
docker image inspect --format "$image is ready: {{.Id}}" "$image"
