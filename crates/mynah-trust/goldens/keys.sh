#!/bin/sh
# Writes keys/: key files as OpenSSL makes them, for tests of reading. They protect nothing.
#
#     sh goldens/keys.sh
set -eu
cd "$(dirname "$0")"
mkdir -p keys
cd keys
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out p256.pem
openssl pkey -in p256.pem -pubout -out p256.pub
# The older form, with the curve's name before it, and without.
openssl ec -in p256.pem -out p256-sec1.pem
{ openssl ecparam -name prime256v1; cat p256-sec1.pem; } > p256-parameters.pem
openssl pkcs8 -topk8 -in p256.pem -passout pass:secret -out p256-encrypted.pem
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.pem
openssl pkey -in p384.pem -pubout -out p384.pub
openssl genpkey -algorithm ED25519 -out ed25519.pem
openssl pkey -in ed25519.pem -pubout -out ed25519.pub
# A message, and what OpenSSL signs under it.
printf 'hello world' > message
openssl dgst -sha256 -sign p256.pem -out p256.sig message
openssl pkeyutl -sign -inkey ed25519.pem -rawin -in message -out ed25519.sig
chmod 644 *
