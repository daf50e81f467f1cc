#!/bin/sh
# Dumps MLflow's database into the file $1. libpq's variables say which database.
set -eu
mkdir -p "$(dirname "$1")"
rm -f "$1"
pg_dump --format=custom --compress=6 --no-owner --no-privileges --file="$1.partial"
# A dump that cannot be listed cannot be restored either.
pg_restore --list "$1.partial" > /dev/null
mv "$1.partial" "$1"
echo "dumped $PGDATABASE: $(wc -c < "$1") bytes"
