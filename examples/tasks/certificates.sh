#!/bin/sh
# Makes an authority and, in its name, certificates for the hosts of the tasks and for a client: in the folder `certificates`
# beside this file. In `certificates/new` another authority certifies httpbin.example.com anew.
set -eu
cd "$(dirname "$0")"
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
authority() {
  mkdir -p "$1"
  cd "$1"
  # shellcheck disable=SC2086 # several words
  openssl req -x509 $key -days 30 -subj "/O=example Inc./CN=example.com" -keyout ca-key.pem -out ca.pem
}
certificate() {
  printf 'subjectAltName=DNS:%s\n' "$2" > "$1.ext"
  # shellcheck disable=SC2086
  openssl req $key -subj "/CN=$2/O=$1 organization" -keyout "$1-key.pem" -out "$1.csr"
  openssl x509 -req -days 30 -CA ca.pem -CAkey ca-key.pem -CAcreateserial -in "$1.csr" -extfile "$1.ext" -out "$1.pem"
}
authority certificates
for name in httpbin helloworld nginx client; do
  certificate "$name" "$name.example.com"
done
certificate external my-nginx.mesh-external.svc.cluster.local
authority new
certificate httpbin httpbin.example.com
