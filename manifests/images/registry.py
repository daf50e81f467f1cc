"""Asks a container registry for an image's digest, over the registry's HTTP interface.

Follows the OCI distribution specification, with the anonymous bearer tokens that public
registries hand out. Credentials are the container engine's business, not ours.
"""

import hashlib
import json
import re
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import urllib3

from manifests.images.errors import ImageError
from manifests.images.references import Reference

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_HOSTS = {"docker.io": "registry-1.docker.io"}
_LOOPBACK = ("localhost", "127.0.0.1")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


def resolve_digest(reference: Reference) -> str:
    """The digest that a tag stands for now: of the index where there is one, for all platforms.

    It is computed from what the registry sends, never only taken from what it says.

    Raises:
        ImageError: the registry cannot be reached, has no such image, or contradicts itself.
    """
    address = f"{_base_url(reference.registry)}/v2/{reference.repository}/manifests"
    url = f"{address}/{reference.digest or reference.tag}"
    headers = {"Accept": ", ".join(_MANIFESTS)}
    with urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=10, read=30),
        retries=urllib3.Retry(total=2, backoff_factor=0.3, redirect=5),
    ) as http:
        try:
            answer = http.request("GET", url, headers=headers)
            if answer.status == HTTPStatus.UNAUTHORIZED:
                headers["Authorization"] = f"Bearer {_token(http, answer, url)}"
                answer = http.request("GET", url, headers=headers)
        except urllib3.exceptions.MaxRetryError as error:
            raise ImageError(f"{url}: cannot be reached: {error.reason}") from error
        except urllib3.exceptions.HTTPError as error:
            raise ImageError(f"{url}: {error}") from error
    if answer.status != HTTPStatus.OK:
        raise ImageError(f"{url}: status {answer.status}")
    return _verified_digest(answer, reference, url)


def is_loopback(registry: str) -> bool:
    """Tell whether a registry is on this machine, where plain HTTP is spoken."""
    return registry.partition(":")[0] in _LOOPBACK


def _verified_digest(answer: urllib3.BaseHTTPResponse, reference: Reference, url: str) -> str:
    media_type = answer.headers.get("Content-Type", "").partition(";")[0]
    if media_type not in _MANIFESTS:
        raise ImageError(f"{url}: expected an image's manifest, got {media_type or 'nothing'}")
    found = f"sha256:{hashlib.sha256(answer.data).hexdigest()}"
    for claimed in (answer.headers.get("Docker-Content-Digest"), reference.digest):
        if claimed and claimed != found:
            raise ImageError(f"{url}: expected {claimed}, got {found}")
    return found


def _token(http: urllib3.PoolManager, refusal: urllib3.BaseHTTPResponse, url: str) -> str:
    """An anonymous token, from where the registry's refusal says that there is one."""
    kind, _, rest = refusal.headers.get("WWW-Authenticate", "").partition(" ")
    asked = dict(_CHALLENGE.findall(rest))
    realm = urlsplit(asked.get("realm", ""))
    if kind.lower() != "bearer" or not realm.hostname:
        raise ImageError(f"{url}: needs credentials, which this command does not use")
    if realm.scheme != "https" and not is_loopback(realm.hostname):
        raise ImageError(f"{url}: sends us for a token to {realm.geturl()}, which is not https")
    question = urlencode({key: asked[key] for key in ("service", "scope") if key in asked})
    answer = http.request("GET", f"{realm.geturl()}?{question}")
    if answer.status != HTTPStatus.OK:
        raise ImageError(f"{realm.geturl()}: status {answer.status} instead of a token")
    try:
        given = json.loads(answer.data)
        return given.get("token") or given["access_token"]
    except (ValueError, KeyError, AttributeError) as error:
        raise ImageError(f"{realm.geturl()}: expected JSON with a token") from error


def _base_url(registry: str) -> str:
    scheme = "http" if is_loopback(registry) else "https"
    return f"{scheme}://{_HOSTS.get(registry, registry)}"
