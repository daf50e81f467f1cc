"""Has MLflow call the deployer when an alias moves."""

import logging

from spatialreward.ops.deployer.webhook import EVENTS
from spatialreward.ops.tracking import TrackingError, connect

logger = logging.getLogger(__name__)


def register_webhook(name: str, url: str, secret: str) -> bool:
    """Register a webhook for aliases, or bring the one of that name up to date.

    Args:
        name: of the webhook.
        url: of the deployer, with ``/webhook``.
        secret: what MLflow signs with.

    Returns:
        Whether it is a new one.

    Raises:
        TrackingError: the server does not take it.
    """
    from mlflow.exceptions import MlflowException

    client = connect()
    try:
        token, found = None, None
        while found is None:
            page = client.list_webhooks(page_token=token)
            found = next((one for one in page if one.name == name), None)
            token = page.token
            if not token:
                break
        events, purpose = list(EVENTS), "Wakes the deployer when an alias moves."
        if found is None:
            client.create_webhook(name, url, events, purpose, secret=secret, status="ACTIVE")
        else:
            client.update_webhook(
                found.webhook_id,
                description=purpose,
                url=url,
                events=events,
                secret=secret,
                status="ACTIVE",
            )
    except MlflowException as error:
        raise TrackingError(f"webhook {name} to {url}: {error}") from error
    logger.info("webhook %s calls %s", name, url)
    return found is None
