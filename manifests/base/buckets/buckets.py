"""Makes the buckets, has them keep old versions for a while, and sets what expires. Safe to repeat.

Rules that others gave a bucket stay; ours are known by the beginning of their names.
"""

import sys

from minio.commonconfig import ENABLED, Filter
from minio.lifecycleconfig import (
    AbortIncompleteMultipartUpload,
    Expiration,
    LifecycleConfig,
    NoncurrentVersionExpiration,
    Rule,
)
from minio.versioningconfig import VersioningConfig

from spatialreward.storage import ObjectStore

OURS = "spatialreward-"
# What was overwritten or deleted can be brought back for this long.
OLD_VERSIONS_DAYS = 30
# Parts of an upload that was never completed.
UPLOAD_DAYS = 7
# By bucket and prefix. Never artifacts/ or evaluations/: registered models refer to what is there.
EXPIRY_DAYS = {"spatialreward": {"backups/": 35}, "mlflow": {}}


def rules(expiry_days: dict[str, int]) -> list[Rule]:
    """Our rules of one bucket."""
    versions = NoncurrentVersionExpiration(noncurrent_days=OLD_VERSIONS_DAYS)
    uploads = AbortIncompleteMultipartUpload(days_after_initiation=UPLOAD_DAYS)
    whole = {"status": ENABLED, "rule_filter": Filter(prefix="")}
    return [
        Rule(rule_id=f"{OURS}old-versions", noncurrent_version_expiration=versions, **whole),
        Rule(
            rule_id=f"{OURS}unfinished-uploads", abort_incomplete_multipart_upload=uploads, **whole
        ),
        *(
            Rule(
                rule_id=f"{OURS}expire-{prefix}",
                status=ENABLED,
                rule_filter=Filter(prefix=prefix),
                expiration=Expiration(days=days),
            )
            for prefix, days in expiry_days.items()
        ),
    ]


store = ObjectStore.from_environment()
for bucket, expiry_days in EXPIRY_DAYS.items():
    store.ensure_bucket(bucket)
    store.client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
    config = store.client.get_bucket_lifecycle(bucket)
    others = [
        rule for rule in (config.rules if config else []) if not str(rule.rule_id).startswith(OURS)
    ]
    store.client.set_bucket_lifecycle(bucket, LifecycleConfig(others + rules(expiry_days)))
    sys.stdout.write(f"s3://{bucket} is prepared\n")
