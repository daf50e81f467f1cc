import pytest

from spatialreward.data.filters.licenses import check_license
from spatialreward.data.filters.reasons import Reason


@pytest.mark.parametrize("license", ["CC BY 4.0", "cc  by 4.0", "CC0"])
def test_a_licence_that_is_allowed_stays_however_it_is_spaced(license):
    assert check_license(license, ("CC BY 4.0", "CC0")) is None


@pytest.mark.parametrize("license", ["CC BY", "CC BY 4.0 NC", ""])
def test_any_other_is_named(license):
    finding = check_license(license, ("CC BY 4.0", "CC0"))
    assert finding.reason is Reason.LICENSE
    assert (repr(license) if license else "names no licence") in finding.detail
    assert "CC BY 4.0, CC0" in finding.detail


@pytest.mark.parametrize("license", ["", "anything"])
def test_without_a_list_all_are_allowed(license):
    assert check_license(license, None) is None
