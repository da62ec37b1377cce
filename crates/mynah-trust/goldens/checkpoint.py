"""Writes checkpoint.json: signed checkpoints and proofs of a small log, made from the specifications.

    pip install cryptography
    python3 goldens/checkpoint.py > goldens/checkpoint.json

Follows c2sp.org/signed-note, c2sp.org/tlog-checkpoint and c2sp.org/tlog-proof; Ed25519 comes from the package cryptography
(OpenSSL). The key is the one whose secret is the bytes 0 to 31: for tests, and worth nothing.
"""

import base64
import hashlib
import json
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

ORIGIN = "example.com/runs"


def sha256(data):
    return hashlib.sha256(data).digest()


def mth(d):
    if not d:
        return sha256(b"")
    if len(d) == 1:
        return sha256(b"\x00" + d[0])
    k = 1 << (len(d) - 1).bit_length() - 1
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:]))


def path(m, d):
    if len(d) == 1:
        return []
    k = 1 << (len(d) - 1).bit_length() - 1
    if m < k:
        return path(m, d[:k]) + [mth(d[k:])]
    return path(m - k, d[k:]) + [mth(d[:k])]


def main():
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = key.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    key_id = sha256(ORIGIN.encode() + b"\n\x01" + public)[:4]
    notes = []
    for size in range(8):
        root = mth([str(i).encode() for i in range(size)])
        text = f"{ORIGIN}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = base64.b64encode(key_id + key.sign(text.encode())).decode()
        notes.append(f"{text}\n\u2014 {ORIGIN} {signature}\n")
    proofs = []
    for index in range(7):
        # The entry itself travels along with every other proof.
        extra = f"extra {base64.b64encode(str(index).encode()).decode()}\n" if index % 2 else ""
        hashes = path(index, [str(i).encode() for i in range(7)])
        lines = "".join(base64.b64encode(h).decode() + "\n" for h in hashes)
        proofs.append(f"c2sp.org/tlog-proof@v1\n{extra}index {index}\n{lines}\n{notes[7]}")
    golden = {
        "secret_pem": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        "public_pem": key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
        "verifier": f"{ORIGIN}+{key_id.hex()}+{base64.b64encode(bytes([1]) + public).decode()}",
        "notes": notes,
        "proofs": proofs,
    }
    json.dump(golden, sys.stdout, indent=1, ensure_ascii=False)
    print()


main()
