"""Writes xDS responses around resources that are encoded already: no message object is built.

The field numbers are those of ``envoy/service/discovery/v3/discovery.proto`` and of ``google.protobuf.Any``; a test
holds the result against the generated classes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from mizzen.compile.resource import TypeUrl, XdsResource

_REMEMBERED = 4096


def varint(value: int) -> bytes:
    """Returns a number as protobuf writes it: seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited field (wire type 2), or nothing where proto3 leaves the default out."""
    return b"" if not value else bytes([number << 3 | 2]) + varint(len(value)) + value


class Encoder:
    """Encodes responses; remembers each resource in the form that delta responses carry, for the next proxy."""

    def __init__(self) -> None:
        self._wrapped: OrderedDict[tuple[TypeUrl, str, str], bytes] = OrderedDict()

    def delta(
        self, type_url: TypeUrl, nonce: str, version: str, updates: Iterable[XdsResource], removed: Iterable[str]
    ) -> bytes:
        """Returns an encoded ``DeltaDiscoveryResponse``."""
        parts = [_field(1, version.encode())]
        parts += [self._resource(type_url, resource) for resource in updates]
        parts += [_field(4, type_url.encode()), _field(5, nonce.encode())]
        parts += [_field(6, name.encode()) for name in removed]
        return b"".join(parts)

    def state(self, type_url: TypeUrl, nonce: str, version: str, resources: Iterable[XdsResource]) -> bytes:
        """Returns an encoded ``DiscoveryResponse``."""
        parts = [_field(1, version.encode())]
        parts += [_present(2, _any(type_url, resource)) for resource in resources]
        parts += [_field(4, type_url.encode()), _field(5, nonce.encode())]
        return b"".join(parts)

    def _resource(self, type_url: TypeUrl, resource: XdsResource) -> bytes:
        key = (type_url, resource.name, resource.version)
        wrapped = self._wrapped.get(key)
        if wrapped is None:
            name, version = _field(3, resource.name.encode()), _field(1, resource.version.encode())
            wrapped = _present(2, version + _present(2, _any(type_url, resource)) + name)
            self._wrapped[key] = wrapped
            if len(self._wrapped) > _REMEMBERED:
                self._wrapped.popitem(last=False)
        return wrapped


def _any(type_url: TypeUrl, resource: XdsResource) -> bytes:
    return _field(1, type_url.encode()) + _field(2, resource.body)


def _present(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(value)) + value
