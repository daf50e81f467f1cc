import pytest

from manifests.images.pip_settings import configuration, package_folders, parse_settings

LISTING = """\
:env:.cert='/etc/certificates.crt'
:env:.find-links='/wheels'
global.constraint='/etc/constraints.txt'
global.extra-index-url='\\nhttps://one.example/simple\\nhttps://two.example/simple'
global.find-links='/elsewhere'
list.format='columns'
"""


def test_the_environment_goes_before_the_files():
    given = parse_settings(LISTING)
    assert given["find-links"] == "/wheels"
    assert "format" not in given


def test_a_build_is_reported_where_packages_are_and_nothing_else():
    assert configuration(parse_settings(LISTING)).splitlines() == [
        "[global]",
        "extra-index-url = https://one.example/simple https://two.example/simple",
        "find-links = /wheels",
        "cert = /run/secrets/ca.crt",
    ]


@pytest.mark.parametrize("listing", ["", "global.timeout='10'\n"])
def test_without_settings_a_build_does_what_pip_does(listing):
    assert configuration(parse_settings(listing)) == ""


def test_folders_with_packages_are_mounted_and_others_are_not(tmp_path):
    for name in ("index/simple", "wheels"):
        (tmp_path / name).mkdir(parents=True)
    given = {
        "index-url": "https://one.example/simple",
        "extra-index-url": f"file://{tmp_path}/index/simple file://{tmp_path}/gone/simple",
        "find-links": f"{tmp_path}/wheels https://two.example/links",
    }
    # An index's pages point to files beside it.
    assert package_folders(given) == (tmp_path / "index", tmp_path / "wheels")
