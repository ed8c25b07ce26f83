#!/bin/sh
# Makes an authority and, in its name, certificates for two hosts and a client: in the folder `certificates` beside this file.
set -eu
cd "$(dirname "$0")"
mkdir -p certificates
cd certificates
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/O=example/CN=example.com" -keyout ca-key.pem -out ca.pem
for name in pages vault client; do
  printf 'subjectAltName=DNS:%s.example.com\n' "$name" > "$name.ext"
  openssl req -newkey rsa:2048 -nodes -subj "/O=example/CN=$name.example.com" -keyout "$name-key.pem" -out "$name.csr"
  openssl x509 -req -days 30 -CA ca.pem -CAkey ca-key.pem -CAcreateserial -in "$name.csr" -extfile "$name.ext" -out "$name.pem"
done
