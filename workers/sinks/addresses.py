"""Addresses that sinks never connect to: link-local ones and metadata services, which return credentials. Pure."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Metadata services outside the link-local ranges. Other private addresses are allowed.
_METADATA: dict[str, str] = {
    "fd00:ec2::254": "Amazon",  # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    "fd20:ce::254": "Google",  # https://cloud.google.com/compute/docs/metadata/querying-metadata
    "100.100.100.200": "Alibaba",  # https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
    "168.63.129.16": "Azure",  # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
}
_SERVICES = {ipaddress.ip_address(address): cloud for address, cloud in _METADATA.items()}
#: IPv6 addresses that a translator turns into the IPv4 address in their last 32 bits (RFC 6052).
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


def refusal_reason(text: str) -> str | None:
    """Why sinks refuse this address; None if it is allowed, or if the text is not an address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    for target in _targets(address):
        if target.is_link_local:
            return "a link-local address, where clouds serve credentials"
        if target in _SERVICES:
            return f"the metadata service of {_SERVICES[target]}"
    return None


def _targets(address: Address) -> list[Address]:
    """The address without its zone, and the IPv4 address embedded in it."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    plain = ipaddress.IPv6Address(int(address))
    embedded = ipaddress.IPv4Address(int(plain) & 0xFFFF_FFFF)
    # The first 96 bits are zero in the old form `::a.b.c.d` (RFC 4291, 2.5.5.1).
    if plain.ipv4_mapped or plain in _TRANSLATED or int(plain) >> 32 == 0:
        return [plain, embedded]
    return [plain] if plain.sixtofour is None else [plain, plain.sixtofour]
