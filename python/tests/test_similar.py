import pytest

from oslorpc.similar import did_you_mean

KNOWN = ["port_update", "resize", "build", "id", "on"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PortUpdate", "port_update"),
        ("port_updat", "port_update"),
        ("prot_update", "port_update"),
        ("resice", "resize"),
        ("Build", "build"),
        ("in", ""),
        ("", ""),
        ("delete", ""),
    ],
)
def test_a_similar_name_is_suggested(name, meant):
    assert did_you_mean(name, KNOWN, "it has x") == (f'; did you mean "{meant}"? It has x' if meant else "; it has x")
