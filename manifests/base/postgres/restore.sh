#!/bin/sh
# Puts a database made from the dump in the file $1 in the place of $PGDATABASE, at once, and keeps
# what was there under another name. libpq's variables say where. No client may be connected meanwhile.
set -eu
fresh="${PGDATABASE}_restored"
kept="${PGDATABASE}_before_$(date -u +%Y%m%d%H%M%S)"
sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --dbname=postgres "$@"; }

sql --command="drop database if exists \"$fresh\"" --command="create database \"$fresh\" template template0"
pg_restore --exit-on-error --single-transaction --no-owner --no-privileges --dbname="$fresh" "$1"

if [ "$(sql --command="select count(*) from pg_stat_activity where datname = '$PGDATABASE' and backend_type = 'client backend'")" != 0 ]; then
  echo "error: $PGDATABASE: a client is connected: scale mlflow to 0 and try again" >&2
  exit 1
fi
if [ "$(sql --command="select count(*) from pg_database where datname = '$PGDATABASE'")" != 0 ]; then
  sql --single-transaction --command="alter database \"$PGDATABASE\" rename to \"$kept\"" \
    --command="alter database \"$fresh\" rename to \"$PGDATABASE\""
  echo "restored $PGDATABASE; what was there is $kept"
else
  sql --command="alter database \"$fresh\" rename to \"$PGDATABASE\""
  echo "restored $PGDATABASE"
fi
