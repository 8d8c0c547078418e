#!/usr/bin/env bash
# frontdoor_models.sh FOLDER [NAME …]: writes the files of `lockstep benchmark frontdoor --models FOLDER` by quantizers that
# this project does not install, each in an environment of its own under FOLDER/environments; NAME is one of
# codesign/benchmarks/frontdoor/requirements, all if none is given. Some gigabytes of packages are downloaded.
set -euo pipefail
if [ $# -lt 1 ]; then
    echo "frontdoor_models.sh: give a folder for the files" >&2
    exit 2
fi
folder=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)
requirements=$root/codesign/benchmarks/frontdoor/requirements
mkdir -p "$folder/environments"
folder=$(cd "$folder" && pwd)
if [ $# -eq 0 ]; then
    set -- $(basename -s .txt "$requirements"/*.txt)
fi
for name in "$@"; do
    file=$requirements/$name.txt
    if [ ! -f "$file" ]; then
        echo "frontdoor_models.sh: $file does not exist" >&2
        exit 2
    fi
    environment=$folder/environments/$name
    [ -x "$environment/bin/pip" ] || python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --requirement "$file"
    quantizers=$(sed -n '1s/^.*generate: //p' "$file")
    # shellcheck disable=SC2086  # several names
    (cd "$root" && "$environment/bin/python" -W ignore -m codesign.benchmarks.frontdoor.generate $quantizers -o "$folder")
done
