#!/bin/sh
# Makes the certificates of the TLS tests: an authority, a server it vouches for, and a stranger.
# Usage: sh make_tls.sh, in this folder. The keys are public and protect nothing.
set -eu
days=36500
key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1"; }
key authority.key
openssl req -x509 -new -key authority.key -subj "/CN=mynah test authority" -days $days -out authority.pem
key server.key
openssl req -new -key server.key -subj "/CN=localhost" -out server.csr
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > server.ext
openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days $days \
    -extfile server.ext -out server.pem
key stranger.key
openssl req -x509 -new -key stranger.key -subj "/CN=mynah test stranger" -days $days -out stranger.pem
rm -f server.csr server.ext authority.srl authority.key stranger.key
