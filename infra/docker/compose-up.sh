#!/bin/sh
# From a checkout to a running stack: secrets, image, data, containers. `make compose-up` calls it; safe to repeat, and
# after `git pull` it is the upgrade. OVERNIGHT_BASE names another base image, OVERNIGHT_EXTRAS what it has beside
# (s3,gcs), POSTGRES_IMAGE another Postgres; docker-compose.yml has the rest.
set -eu
cd "$(dirname "$0")/../.."
: "${COMPOSE:=docker-compose}" "${OVERNIGHT_IMAGE:=overnight:latest}"
: "${OVERNIGHT_SECRETS:=./.overnight/secrets}" "${OVERNIGHT_DATA:=./.overnight/data}"
export OVERNIGHT_IMAGE OVERNIGHT_SECRETS OVERNIGHT_DATA

health() {
    for id in $($COMPOSE ps -q); do
        docker inspect --format '{{.Name}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$id"
    done
}

.venv/bin/python infra/docker/make_secrets.py "$OVERNIGHT_SECRETS"
for extra in $(echo "${OVERNIGHT_EXTRAS:-}" | tr , ' '); do set -- "$@" --with "$extra"; done
.venv/bin/overnight image build --tag "$OVERNIGHT_IMAGE" ${OVERNIGHT_BASE:+--base "$OVERNIGHT_BASE"} "$@" >/dev/null
OVERNIGHT_IMAGE_DIGEST=$(docker image inspect --format '{{.Id}}' "$OVERNIGHT_IMAGE")
export OVERNIGHT_IMAGE_DIGEST
.venv/bin/python -c 'import sys; from pathlib import Path; from infra.airline import drop_flights; drop_flights(Path(sys.argv[1]))' \
    "$OVERNIGHT_DATA/flights"
chmod -R go+rX "$OVERNIGHT_DATA"
$COMPOSE up -d --remove-orphans
if [ -d "${OVERNIGHT_DEPLOYMENTS:-deployments}/departures" ]; then  # which reads a database beside Overnight's own; filled once
    $COMPOSE run --rm --no-deps -T migrate python3 -c 'from infra import operations, settings
operations.fill_operations(settings.load_settings().database_url)' >/dev/null
fi
waited=0
while health | grep -Eq 'starting|restarting|unhealthy'; do
    if [ $waited -ge 240 ]; then
        echo "not everything is healthy after four minutes. Try: $COMPOSE logs" >&2
        health >&2
        exit 1
    fi
    sleep 2
    waited=$((waited + 2))
done
echo "Morning page  http://127.0.0.1:${WEB_PORT:-8500}"
echo "Prefect       http://127.0.0.1:${PREFECT_PORT:-4200}"
echo "A night       $COMPOSE exec worker overnight trigger flights --interval 2013-01-01"
