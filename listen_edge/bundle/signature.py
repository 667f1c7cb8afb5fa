"""Who made a bundle: an Ed25519 signature of its manifest, which holds every file's hash.

The signature is what OpenSSL writes too: `openssl pkeyutl -sign -rawin -inkey KEY.pem -in
manifest.json -out manifest.json.sig`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from listen_edge.bundle.manifest import MANIFEST, SIGNATURE
from listen_edge.errors import BundleError, require
from listen_edge.replacing import replacing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )


def sign_bundle(folder: Path, key: Path) -> None:
    """Write the signature of the bundle in a folder.

    Args:
        key: unencrypted private key, PEM.

    Raises:
        BundleError: no such key, or the signature cannot be written.
    """
    require("cryptography", "pull")
    signature = _private_key(key).sign((folder / MANIFEST).read_bytes())
    try:
        with replacing(folder / SIGNATURE) as temporary:
            temporary.write_bytes(signature)
    except OSError as err:
        raise BundleError(f"{folder / SIGNATURE}: cannot be written ({err.strerror})") from err


def verify_signature(folder: Path, key: Path) -> None:
    """Check that the manifest was signed by the owner of a key.

    Args:
        key: public key, PEM.

    Raises:
        BundleError: no such key, no signature, or one of another key or manifest.
    """
    require("cryptography", "pull")
    from cryptography.exceptions import InvalidSignature

    public = _public_key(key)
    try:
        signature = (folder / SIGNATURE).read_bytes()
        public.verify(signature, (folder / MANIFEST).read_bytes())
    except OSError as err:
        raise BundleError(
            f"{folder / SIGNATURE}: missing, the bundle is not signed; leave --key out to use it"
        ) from err
    except InvalidSignature as err:
        raise BundleError(
            f"{folder / SIGNATURE}: not by the owner of {key}, or the manifest was altered; "
            "do not use the bundle"
        ) from err


def _private_key(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as err:
        raise _not_a_key(path, "openssl genpkey -algorithm ed25519") from err
    if not isinstance(key, Ed25519PrivateKey):
        raise _not_a_key(path, "openssl genpkey -algorithm ed25519")
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as err:
        raise _not_a_key(path, "openssl pkey -pubout -in KEY.pem") from err
    if not isinstance(key, Ed25519PublicKey):
        raise _not_a_key(path, "openssl pkey -pubout -in KEY.pem")
    return key


def _not_a_key(path: Path, command: str) -> BundleError:
    return BundleError(f"{path}: no unencrypted Ed25519 key in PEM form; make one: {command}")
