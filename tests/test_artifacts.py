import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward.artifacts import ArtifactRef, DocumentRef, required_object
from spatialreward.errors import InvalidInputError

HEX = "0" * 64


@given(
    st.from_regex(r"[a-z0-9][a-z0-9.-]{2,62}/[a-zA-Z0-9/_. ü-]{0,60}[a-z]", fullmatch=True),
    st.binary(min_size=32, max_size=32),
    st.sampled_from([ArtifactRef, DocumentRef]),
)
def test_a_reference_survives_its_text(place, digest, kind):
    ref = kind(uri=f"s3://{place}", sha256=digest.hex())
    assert kind.parse(str(ref)) == ref


@given(st.text(max_size=80))
def test_any_other_text_is_no_reference(text):
    with pytest.raises(InvalidInputError, match="an artifact reference"):
        ArtifactRef.parse(text)


@pytest.mark.parametrize("uri", ["s3://B/x", "s3://ab/x", "s3://abc/", "s3://abc", "s3://abc/x\ny"])
def test_a_place_that_no_bucket_has_is_no_reference(uri):
    with pytest.raises(InvalidInputError, match="an artifact reference"):
        ArtifactRef.parse(f"{uri}#sha256={HEX}")


@pytest.mark.parametrize("kind", [ArtifactRef, DocumentRef])
def test_a_reference_of_an_older_version_is_refused_with_what_to_do(kind):
    text = f"s3://spatialreward/artifacts/train-judge/0123.tar#sha256={'0' * 64}&size=10"
    with pytest.raises(InvalidInputError, match=r"^'s3://.*&size=10'.*run the step again$"):
        kind.parse(text)


def test_a_folder_needs_its_manifest_and_a_document_itself():
    folder = f"s3://steps/train/{HEX[:16]}"
    assert required_object(f"{folder}#sha256={HEX}") == f"{folder}/artifact.json"
    document = DocumentRef.of(f"s3://steps/reports/{HEX}.json", b"{}")
    other = document.model_copy(update={"sha256": HEX})
    assert required_object(str(other)) == other.uri
    assert required_object(str(document)) == f"{document.uri}/artifact.json", "not its checksum"
