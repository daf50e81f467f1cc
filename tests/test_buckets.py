import io

import pytest
from minio.commonconfig import DISABLED, ENABLED, Filter
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule

from spatialreward.buckets import Expiry, prepare_bucket, what_is_kept
from spatialreward.errors import InvalidInputError
from spatialreward.storage import ObjectStore, StorageError


@pytest.fixture
def bucket(store, request):
    """A bucket's name that no other test uses; the bucket is not there yet."""
    return request.node.name.replace("_", "-")[:60].strip("-")


def test_what_was_overwritten_can_be_brought_back(store, bucket):
    assert prepare_bucket(store, bucket, 30, {})
    for text in (b"first", b"second"):
        store.client.put_object(bucket, "name", io.BytesIO(text), len(text))
    versions = store.client.list_objects(bucket, include_version=True)
    texts = {
        store.client.get_object(bucket, "name", version_id=one.version_id).read()
        for one in versions
    }
    assert texts == {b"first", b"second"}


def test_the_rules_are_in_the_bucket_and_are_not_written_twice(store, bucket):
    assert prepare_bucket(store, bucket, 30, {"backups/": 35})
    kept = what_is_kept(store, bucket)
    assert kept.is_versioned
    assert kept.days == {
        "spatialreward-old-versions": 30,
        "spatialreward-unfinished-uploads": 7,
        "spatialreward-expire-backups/": 35,
    }
    assert not prepare_bucket(store, bucket, 30, {"backups/": 35})


def test_other_days_replace_our_rules_and_no_others(store, bucket):
    store.ensure_bucket(bucket)
    theirs = Rule(
        ENABLED, rule_filter=Filter(prefix="theirs/"), rule_id="x", expiration=Expiration(days=3)
    )
    store.client.set_bucket_lifecycle(bucket, LifecycleConfig([theirs]))
    prepare_bucket(store, bucket, 30, {"old/": 5})
    assert prepare_bucket(store, bucket, 60, {"new/": 6})
    names = {rule.rule_id for rule in store.client.get_bucket_lifecycle(bucket).rules}
    assert names == {
        "x",
        "spatialreward-old-versions",
        "spatialreward-unfinished-uploads",
        "spatialreward-expire-new/",
    }
    assert what_is_kept(store, bucket).days["spatialreward-old-versions"] == 60


@pytest.mark.parametrize("prefix", ["artifacts/", "artifacts/train-judge/", "evaluations/", ""])
def test_what_registered_models_refer_to_does_not_expire(store, prefix):
    with pytest.raises(InvalidInputError, match="must not expire: registered models refer to"):
        prepare_bucket(store, "spatialreward", 30, {prefix: 5})


def test_a_rule_of_ours_that_was_turned_off_is_written_anew_and_not_beside(store, bucket):
    store.ensure_bucket(bucket)
    off = Rule(
        DISABLED,
        rule_filter=Filter(prefix="backups/"),
        rule_id="spatialreward-expire-backups/",
        expiration=Expiration(days=35),
    )
    store.client.set_bucket_lifecycle(bucket, LifecycleConfig([off]))
    assert prepare_bucket(store, bucket, 30, {"backups/": 35})
    rules = store.client.get_bucket_lifecycle(bucket).rules
    assert sorted((rule.rule_id, rule.status) for rule in rules) == [
        ("spatialreward-expire-backups/", ENABLED),
        ("spatialreward-old-versions", ENABLED),
        ("spatialreward-unfinished-uploads", ENABLED),
    ]


def test_a_store_that_does_not_let_us_is_named(s3):
    stranger = ObjectStore(s3.endpoint_url, "stranger", "nothing")
    with pytest.raises(StorageError, match="s3://steps"):
        prepare_bucket(stranger, "steps", 30, {})


def test_an_expiry_is_read_and_anything_else_is_refused():
    assert Expiry.parse("a/backups/=35") == Expiry("a", "backups/", 35)
    for text in ("a=35", "a/b=35", "a/b/=0", "a/b/=soon", "/b/=3", "a/b/"):
        with pytest.raises(InvalidInputError, match="BUCKET/PREFIX/=DAYS"):
            Expiry.parse(text)
