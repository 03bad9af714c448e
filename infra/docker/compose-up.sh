#!/bin/sh
# From a checkout to a running stack: secrets, image, data, containers. `make compose-up` calls it; safe to repeat.
# OVERNIGHT_BASE names another base image, POSTGRES_IMAGE another Postgres; see docker-compose.yml for the rest.
set -eu
cd "$(dirname "$0")/../.."
: "${COMPOSE:=docker-compose}"
export OVERNIGHT_IMAGE="${OVERNIGHT_IMAGE:-overnight:latest}"
overnight=.venv/bin/overnight

.venv/bin/python infra/docker/make_secrets.py .overnight/secrets
if [ -n "${OVERNIGHT_BASE:-}" ]; then
    $overnight image build --base "$OVERNIGHT_BASE" >/dev/null
else
    $overnight image build >/dev/null
fi
OVERNIGHT_IMAGE_DIGEST=$(docker image inspect --format '{{.Id}}' "$OVERNIGHT_IMAGE")
export OVERNIGHT_IMAGE_DIGEST
.venv/bin/python -c 'from pathlib import Path; from infra.airline import drop_flights; drop_flights(Path(".overnight/data/flights"))'
chmod -R go+rX .overnight/data
$COMPOSE up -d --remove-orphans
waited=0
until [ -z "$(docker ps --quiet --filter label=com.docker.compose.project.working_dir="$PWD" --filter health=starting)" ]; do
    if [ $waited -ge 180 ]; then echo "not all parts are healthy after three minutes. Try: $COMPOSE ps" >&2; exit 1; fi
    sleep 2
    waited=$((waited + 2))
done
unhealthy=$(docker ps --filter label=com.docker.compose.project.working_dir="$PWD" --filter health=unhealthy --format '{{.Names}}')
if [ -n "$unhealthy" ]; then echo "not healthy: $unhealthy. Try: $COMPOSE logs" >&2; exit 1; fi
echo "Morning page  http://127.0.0.1:${WEB_PORT:-8500}"
echo "Prefect       http://127.0.0.1:${PREFECT_PORT:-4200}"
echo "A night       $COMPOSE exec worker overnight trigger flights --interval 2013-01-01"
