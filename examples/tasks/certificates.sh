#!/bin/sh
# Makes an authority and, in its name, certificates for three hosts and a client: in the folder `certificates` beside this file.
set -eu
cd "$(dirname "$0")"
mkdir -p certificates
cd certificates
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
# shellcheck disable=SC2086 # several words
openssl req -x509 $key -days 30 -subj "/O=example Inc./CN=example.com" -keyout ca-key.pem -out ca.pem
for name in httpbin helloworld nginx client; do
  printf 'subjectAltName=DNS:%s.example.com\n' "$name" > "$name.ext"
  # shellcheck disable=SC2086
  openssl req $key -subj "/CN=$name.example.com/O=$name organization" -keyout "$name-key.pem" -out "$name.csr"
  openssl x509 -req -days 30 -CA ca.pem -CAkey ca-key.pem -CAcreateserial -in "$name.csr" -extfile "$name.ext" -out "$name.pem"
done
