"""``spatialreward stack buckets`` and ``stack backups``: what an object store keeps."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

backups = typer.Typer(
    no_args_is_help=True,
    help="Backups of a file in the object store, such as a dump of MLflow's database.",
)


def buckets(
    bucket: Annotated[list[str], typer.Option(metavar="BUCKET", help="May be given again.")],
    keep_old_versions_days: Annotated[
        int,
        typer.Option(min=1, help="How long what was overwritten or deleted can be brought back."),
    ] = 30,
    expire: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BUCKET/PREFIX/=DAYS",
            help="Delete objects of that age, if their key begins so. May be given again.",
        ),
    ] = None,
) -> None:
    """Make buckets, have them keep old versions for a while, and set what expires by itself.

    Done again, it changes nothing. Rules that somebody else has set stay.
    The store is the one of S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

    Example: spatialreward stack buckets --bucket mlflow --expire mlflow/tmp/=7
    """
    from spatialreward.buckets import Expiry, prepare_bucket
    from spatialreward.errors import InvalidInputError
    from spatialreward.storage import ObjectStore

    expiries = [Expiry.parse(text) for text in expire or []]
    if strange := {one.bucket for one in expiries} - set(bucket):
        raise InvalidInputError(f"--expire {min(strange)}/...: expected one of the --bucket names")
    store = ObjectStore.from_environment()
    for name in bucket:
        days = {one.prefix: one.days for one in expiries if one.bucket == name}
        changed = prepare_bucket(store, name, keep_old_versions_days, days)
        typer.echo(f"s3://{name} {'is prepared' if changed else 'was prepared already'}")


@backups.command()
def put(
    file: Annotated[Path, typer.Argument(help="What to store.")],
    to: Annotated[str, typer.Option(metavar="S3_URI", help="s3://BUCKET/PREFIX of the backups.")],
) -> None:
    """Store a file as the newest backup, and read it back.

    Example: spatialreward stack backups put mlflow.dump --to s3://spatialreward/backups/postgres
    """
    from spatialreward.ops.backups import put_backup
    from spatialreward.storage import ObjectStore

    backup = put_backup(ObjectStore.from_environment(), file, to, datetime.now(UTC))
    typer.echo(f"{to.rstrip('/')}/{backup.name} holds {backup.size_bytes:,} bytes of {file}")


@backups.command("list")
def list_(
    folder: Annotated[str, typer.Argument(metavar="S3_URI", help="s3://BUCKET/PREFIX")],
) -> None:
    """List complete backups, the newest last.

    Example: spatialreward stack backups list s3://spatialreward/backups/postgres
    """
    from spatialreward.ops.backups import list_backups
    from spatialreward.storage import ObjectStore

    for backup in list_backups(ObjectStore.from_environment(), folder):
        typer.echo(f"{backup.name}  {backup.size_bytes:>15,} bytes  {backup.sha256[:12]}")


@backups.command()
def fetch(
    from_: Annotated[str, typer.Option("--from", metavar="S3_URI", help="s3://BUCKET/PREFIX")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write; must not exist.")],
    name: Annotated[str | None, typer.Option(help="Which one. Default: the newest.")] = None,
) -> None:
    """Bring a backup here, if it is still what was stored.

    Example: spatialreward stack backups fetch --from s3://spatialreward/backups/postgres --out dump
    """
    from spatialreward.ops.backups import fetch_backup
    from spatialreward.storage import ObjectStore

    backup = fetch_backup(ObjectStore.from_environment(), from_, name, out)
    typer.echo(f"{out} is the backup {backup.name}")
