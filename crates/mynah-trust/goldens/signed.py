"""Writes signed/: a small folder, signed in several ways by the Python package model-signing.

    pip install model-signing pyOpenSSL
    python3 goldens/signed.py

The keys are made anew each time and the secret one is thrown away, so every signature changes.
Made with model-signing 1.1.1.
"""

import pathlib
import shutil
import tempfile

import model_signing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

SIGNED = pathlib.Path(__file__).parent / "signed"
MODEL = SIGNED / "model"

# Names whose order by parts is not their order as texts, an empty file, one longer than two shards.
FILES = {
    ".gitattributes": b"* -text\n",
    "a.txt": b"first\n",
    "a/b": b"second\n",
    "config.json": b'{"layers": 2}\n',
    "empty": b"",
    "with space/weights.bin": bytes(i * 7 % 256 for i in range(2500)),
}


def write_public(key, path):
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    path.write_bytes(public)


def main():
    shutil.rmtree(SIGNED, ignore_errors=True)
    for name, data in FILES.items():
        path = MODEL / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    key = ec.generate_private_key(ec.SECP256R1())
    write_public(key, SIGNED / "key.pub")
    write_public(ec.generate_private_key(ec.SECP256R1()), SIGNED / "other.pub")

    def sign(signature, model, hashing):
        with tempfile.NamedTemporaryFile() as secret:
            secret.write(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
            secret.flush()
            config = model_signing.signing.Config().use_elliptic_key_signer(private_key=secret.name)
            config.set_hashing_config(hashing).sign(model, signature)

    hashing = model_signing.hashing.Config
    sign(SIGNED / "sha256.sig", MODEL, hashing())
    sign(SIGNED / "blake3.sig", MODEL, hashing().use_file_serialization(hashing_algorithm="blake3"))
    sign(SIGNED / "blake2.sig", MODEL, hashing().use_file_serialization(hashing_algorithm="blake2"))
    sign(SIGNED / "shards.sig", MODEL, hashing().use_shard_serialization(shard_size=1000))
    sign(SIGNED / "one-file.sig", MODEL / "config.json", hashing())
    ignored = hashing().set_ignored_paths(paths=["model.sig", "a"])
    sign(MODEL / "model.sig", MODEL, ignored)


main()
