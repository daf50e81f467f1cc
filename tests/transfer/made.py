"""What tests of folders on their way to a real S3 server share."""

import io

from spatialreward import transfer

LARGE = bytes(range(251)) * 26_000  # more than a part of S3's


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def put(store, uri, content, **metadata):
    bucket, key = transfer.split(uri)
    store.client.put_object(bucket, key, io.BytesIO(content), len(content), metadata=metadata)
