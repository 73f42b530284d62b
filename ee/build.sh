#!/bin/sh
# Copyright (c) 2026, the trustmesh.spiffe authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Build the image of the execution environment out of packages: make ee. It is started by sh, and not by itself, because AWX takes
# programs in a checkout for inventories.
# usage: build.sh ENGINE PYTHON TOOLS VERSION, with what TOOLS the role toolchain has built
set -eu
engine=$1 python=$2 tools=$3 version=$4
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "1 of 4: Python packages, by their digests"
# For the Python of the image, whatever the one that runs here is.
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes --only-binary=:all: \
  --implementation=cp --python-version=3.11 --platform=manylinux_2_34_x86_64 --platform=manylinux_2_28_x86_64 \
  --platform=manylinux_2_17_x86_64 --platform=manylinux2014_x86_64 --target="$work/ansible" --requirement="$here/requirements.txt"
# Their commands name the Python that made them.
for command in "$work"/ansible/bin/*; do
  sed -i '1s|^#!.*python.*|#!/usr/bin/python3|' "$command"
done

echo "2 of 4: the tools"
mkdir "$work/bin"
for tool in kubectl istioctl envoy spire-server spire-agent; do
  cp --dereference "$tools/$tool" "$work/bin/"
done
# For the sidecars of machines.
istio=$(dirname "$(readlink -f "$tools/istioctl")")
cp "$istio/pilot-agent" "$work/bin/"
mkdir "$work/istio"
cp "$istio/envoy_bootstrap.json" "$work/istio/"

echo "3 of 4: the root file system"
mmdebstrap --quiet --variant=minbase --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --include=bash,ca-certificates,curl,git,openssh-client,python3,rsync,sshpass bookworm "$work/rootfs.tar"

echo "4 of 4: the image"
"$engine" build --quiet --file "$here/Containerfile.packages" --tag "localhost/trustmesh/ee:$version" \
  --tag localhost/trustmesh/ee:latest "$work"
