"""``spatialreward deploy webhook``: has MLflow call the deployer."""

from typing import Annotated

import typer

from spatialreward.errors import InvalidInputError

DEPLOYERS_WEBHOOK = "spatialreward-deployer"

Secret = Annotated[
    str,
    typer.Option(
        envvar="WEBHOOK_SECRET",
        metavar="TEXT",
        show_default=False,
        help="What MLflow signs with and the deployer checks. Better in the environment.",
    ),
]


def webhook(
    url: Annotated[
        str,
        typer.Option(
            metavar="URL", help="Where the deployer listens, such as http://deployer:8080/webhook."
        ),
    ],
    secret: Secret = "",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Of the webhook; one of that name is replaced.")
    ] = DEPLOYERS_WEBHOOK,
) -> None:
    """Have MLflow call a deployer when an alias moves: register its address, or a new secret.

    A webhook only makes `spatialreward deploy watch` look sooner; without any it looks every
    --reconcile-s seconds.
    MLflow's server calls only https at public addresses, unless its environment says otherwise:
    MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https and MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true. It needs
    MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY, too, or it cannot read the secret after a restart.

    Example: spatialreward deploy webhook --url http://deployer:8080/webhook
    """
    check_secret(secret)
    from spatialreward.ops.deployer.registration import register_webhook

    is_new = register_webhook(name, url, secret)
    typer.echo(f"webhook {name} {'registered' if is_new else 'brought up to date'}: {url}")


def check_secret(secret: str) -> None:
    """Make sure that there is something to sign with.

    Raises:
        InvalidInputError: there is not.
    """
    if not secret:
        raise InvalidInputError("webhook: no secret, set WEBHOOK_SECRET")
