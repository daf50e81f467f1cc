"""What a bucket keeps: old versions of what was overwritten or deleted, and for how long.

Rules that somebody else gave a bucket stay; ours are known by the beginning of their names.
"""

from collections.abc import Mapping
from typing import NamedTuple

import urllib3
from minio.commonconfig import ENABLED, Filter
from minio.error import MinioException, S3Error
from minio.lifecycleconfig import (
    AbortIncompleteMultipartUpload,
    Expiration,
    LifecycleConfig,
    NoncurrentVersionExpiration,
    Rule,
)
from minio.versioningconfig import VersioningConfig

from spatialreward.errors import InvalidInputError
from spatialreward.storage import BUCKET, ObjectStore, StorageError

_OURS = "spatialreward-"
_LASTING = ("artifacts/", "evaluations/")
"""Beginnings of keys in ``storage.BUCKET``: checkpoints that registered versions point at, and the
reports that speak for them."""
_UPLOAD_DAYS = 7
"""How long the parts of an upload that was never completed are kept."""


class Expiry(NamedTuple):
    """Objects that are deleted when they have reached an age."""

    bucket: str
    prefix: str
    days: int

    @classmethod
    def parse(cls, text: str) -> "Expiry":
        """Read ``BUCKET/PREFIX/=DAYS``.

        Raises:
            InvalidInputError: the text is something else.
        """
        place, _, days = text.rpartition("=")
        bucket, _, prefix = place.partition("/")
        if not bucket or not prefix.endswith("/") or not days.isdecimal() or int(days) < 1:
            raise InvalidInputError(
                f"{text!r}: expected BUCKET/PREFIX/=DAYS, such as a/backups/=35"
            )
        return cls(bucket, prefix, int(days))


class Kept(NamedTuple):
    """What a bucket does by itself, as far as it is our doing."""

    is_versioned: bool
    days: Mapping[str, int]
    """Days by the name of a rule."""


def prepare_bucket(
    store: ObjectStore, bucket: str, old_versions_days: int, expiries: Mapping[str, int]
) -> bool:
    """Make a bucket if need be, have it keep old versions, and set what expires. Safe to repeat.

    Args:
        store: where.
        bucket: its name.
        old_versions_days: how long what was overwritten or deleted can be brought back.
        expiries: days after which an object is deleted, by the beginning of its key.

    Returns:
        Whether anything was changed.

    Raises:
        InvalidInputError: what registered models refer to would expire.
        StorageError: the store does not let us, or does not know versions or rules.
    """
    _refuse_expiry_of_models(bucket, expiries)
    store.ensure_bucket(bucket)
    wanted = {
        _OURS + "old-versions": old_versions_days,
        _OURS + "unfinished-uploads": _UPLOAD_DAYS,
        **{_OURS + "expire-" + prefix: days for prefix, days in expiries.items()},
    }
    try:
        if what_is_kept(store, bucket) == Kept(True, wanted):
            return False
        store.client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
        others = [rule for rule in _rules(store, bucket) if not _is_ours(rule)]
        rules = others + _own_rules(old_versions_days, expiries)
        store.client.set_bucket_lifecycle(bucket, LifecycleConfig(rules))
        now = what_is_kept(store, bucket)
    except (MinioException, urllib3.exceptions.HTTPError) as error:
        raise StorageError(f"s3://{bucket}: {error}") from error
    if now != Kept(True, wanted):
        raise StorageError(f"s3://{bucket}: took the rules, but answers {now}")
    return True


def what_is_kept(store: ObjectStore, bucket: str) -> Kept:
    """Look up what a bucket does by itself, as far as it is our doing."""
    is_versioned = store.client.get_bucket_versioning(bucket).status == ENABLED
    days = {
        str(rule.rule_id): number
        for rule in _rules(store, bucket)
        if _is_ours(rule) and rule.status == ENABLED and (number := _days(rule)) is not None
    }
    return Kept(is_versioned, days)


def _refuse_expiry_of_models(bucket: str, expiries: Mapping[str, int]) -> None:
    if bucket != BUCKET:
        return
    for prefix in expiries:
        for lasting in _LASTING:
            if prefix.startswith(lasting) or lasting.startswith(prefix):
                raise InvalidInputError(
                    f"{bucket}/{prefix} must not expire: registered models refer to what is in "
                    f"s3://{bucket}/{lasting}"
                )


def _own_rules(old_versions_days: int, expiries: Mapping[str, int]) -> list[Rule]:
    everything = Filter(prefix="")
    return [
        Rule(
            ENABLED,
            rule_filter=everything,
            rule_id=_OURS + "old-versions",
            noncurrent_version_expiration=NoncurrentVersionExpiration(
                noncurrent_days=old_versions_days
            ),
        ),
        Rule(
            ENABLED,
            rule_filter=everything,
            rule_id=_OURS + "unfinished-uploads",
            abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(
                days_after_initiation=_UPLOAD_DAYS
            ),
        ),
        *(
            Rule(
                ENABLED,
                rule_filter=Filter(prefix=prefix),
                rule_id=_OURS + "expire-" + prefix,
                expiration=Expiration(days=days),
            )
            for prefix, days in expiries.items()
        ),
    ]


def _rules(store: ObjectStore, bucket: str) -> list[Rule]:
    try:
        config = store.client.get_bucket_lifecycle(bucket)
    except S3Error as error:
        if error.code == "NoSuchLifecycleConfiguration":
            return []
        raise
    return list(config.rules) if config else []


def _is_ours(rule: Rule) -> bool:
    return bool(rule.rule_id) and str(rule.rule_id).startswith(_OURS)


def _days(rule: Rule) -> int | None:
    if rule.expiration:
        return rule.expiration.days
    if rule.noncurrent_version_expiration:
        return rule.noncurrent_version_expiration.noncurrent_days
    if rule.abort_incomplete_multipart_upload:
        return rule.abort_incomplete_multipart_upload.days_after_initiation
    return None
