import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.sinks.addresses import refusal_reason


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.0.1", "169.254.255.255", "fe80::1", "febf::1", "fe80::1%eth0",
        "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
        "fd00:ec2::254", "fd00:0ec2:0:0:0:0:0:254", "fd20:ce::254", "100.100.100.200", "::ffff:100.100.100.200",
        "168.63.129.16",
    ],
)  # fmt: skip
def test_metadata_services_are_refused_in_every_spelling(address: str) -> None:
    assert refusal_reason(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "::1", "::", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1",
        "169.253.255.255", "169.255.0.0", "fec0::1", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808",
        "fc00::1", "::ffff:10.0.0.1", "hooks.example.com", "", "169.254.169.254.example.com", "2852039166",
    ],
)  # fmt: skip
def test_other_addresses_are_allowed_private_or_public(address: str) -> None:
    assert refusal_reason(address) is None


@given(st.ip_addresses(v=4, network="169.254.0.0/16"), st.sampled_from(["", "::ffff:", "64:ff9b::", "::"]))
def test_no_link_local_address_gets_through(address: ipaddress.IPv4Address, prefix: str) -> None:
    assert refusal_reason(f"{prefix}{address}")
