"""Which addresses belong to nobody's local network: where an event may go unless more is allowed.

A table of our own, since Python's `is_global` changes from version to version and takes multicast
and the metadata of some clouds for global.

Source: IANA's IPv4 and IPv6 Special-Purpose Address Registries; RFC 6052 (NAT64).
"""

from __future__ import annotations

import ipaddress

_NOT_PUBLIC_V4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT, and metadata at Alibaba
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's host, though a public address
            "169.254.0.0/16",  # link-local, and metadata nearly everywhere
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments, and metadata at Oracle
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
# All else is loopback, link-local, multicast, local, or an IPv4 address in other clothes.
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Tell whether an address, as getaddrinfo writes it, is one of the public internet."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address) and found in _NAT64:
        found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    if isinstance(found, ipaddress.IPv4Address):
        return not any(found in network for network in _NOT_PUBLIC_V4)
    return found in _PUBLIC_V6 and not any(found in network for network in _NOT_PUBLIC_V6)
