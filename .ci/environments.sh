#!/usr/bin/env bash
# Fresh environments, installed from this checkout, and what works in each: docs/environments.md says what is expected.
# Run by hand (about 3 GB of packages): .ci/environments.sh [sim] [fork] [torch_npu]
set -uo pipefail
repo="$(cd "$(dirname "$0")/.." && pwd)"
python="${PYTHON:-python3.11}"
room="$(mktemp -d)"
trap 'rm -rf "$room"' EXIT
failed=0

# A copy: building a package leaves files beside its source.
source="$room/source"
mkdir "$source"
git -C "$repo" ls-files -z --cached --others --exclude-standard -- tiletwin ops pass_configs pyproject.toml README.md \
    | (cd "$repo" && tar --null --ignore-failed-read --files-from=- -c 2>/dev/null) | tar -x -C "$source"

# expect STATUS TEXT COMMAND...: the command ends with this status and its output holds this text
expect() {
    local status="$1" text="$2" said got=0
    shift 2
    said="$(cd "$room" && "$@" 2>&1)" || got=$?
    if [ "$got" = "$status" ] && grep -qF -- "$text" <<<"$said"; then
        echo "  ok    ${*#"$room"/} -> $got, \"$text\""
    else
        echo "  WRONG ${*#"$room"/} -> $got, expected $status and \"$text\""
        tail -20 <<<"$said" | sed 's/^/        /'
        failed=1
    fi
}

new() {
    echo "$1"
    "$python" -m venv "$room/$1" || exit 2
    bin="$room/$1/bin"
}

install() {
    "$bin/pip" install -qq "$@" || { echo "  WRONG pip install $*"; failed=1; }
}

# planned EXTRA NAME: prints what pip would do with the distribution NAME
planned() {
    "$bin/pip" install -qq --dry-run --report "$room/plan.json" "$source[$1]" || return 2
    "$bin/python" - "$room/plan.json" "$2" <<'END'
import json, sys
found = [i['metadata']['version'] for i in json.load(open(sys.argv[1]))['install'] if i['metadata']['name'].lower() == sys.argv[2]]
print(f'{sys.argv[2]}: ' + (f'would install {found[0]}' if found else 'left alone'))
END
}

common() {
    expect 0 'tiletwin' "$bin/python" -c 'import tiletwin; print(tiletwin.__name__)'
}

sim() {
    new sim
    install "$source[sim]"
    common
    expect 0 '0.1.15, mainline package' "$bin/tiletwin" doctor
    expect 0 '(in force)' "$bin/tiletwin" doctor
    expect 0 'developer and expert agree' "$bin/tiletwin" compare softmax --case minimum
    expect 2 'mainline package' "$bin/tiletwin" bench softmax --backend ascend
}

fork() {
    new fork
    local dummy="$room/dummy"
    mkdir -p "$dummy/tilelang/language" "$dummy/tilelang/transform"
    touch "$dummy/tilelang/__init__.py" "$dummy/tilelang/language/__init__.py" "$dummy/tilelang/language/reduce_ascend.py" "$dummy/tilelang/transform/__init__.py"
    echo "TL_ASCEND_AUTO_SYNC = 'tl.ascend_auto_sync'" > "$dummy/tilelang/transform/pass_config.py"
    printf '[project]\nname = "tilelang"\nversion = "0.1.4"\n[tool.setuptools.packages.find]\ninclude = ["tilelang*"]\n' > "$dummy/pyproject.toml"
    install "$dummy"
    install "$source"
    common
    expect 0 'tilelang: left alone' planned npu tilelang
    expect 0 'tilelang: would install 0.1.15' planned sim tilelang
    expect 2 '0.1.4, tilelang-ascend fork' "$bin/tiletwin" doctor
    expect 2 'cannot run kernels (in force)' "$bin/tiletwin" doctor
    expect 2 'needs the simulator' "$bin/tiletwin" compare softmax
    expect 2 'torch and torch_npu are not installed' "$bin/tiletwin" bench softmax --backend ascend
    # The trap: mainline has the same distribution name, so pip takes the fork away without a word.
    install --no-deps tilelang==0.1.15
    expect 2 '0.1.15, mainline package' "$bin/tiletwin" doctor
}

torch_npu() {
    new torch_npu
    install "$source[sim]" torch_npu==2.13.0
    expect 1 'TORCH_DEVICE_BACKEND_AUTOLOAD=0' "$bin/python" -c 'import torch'
    common
    expect 0 '2.13.0' "$bin/python" -c 'import tiletwin, torch; print(torch.__version__)'
    expect 0 'trap: autoload' "$bin/tiletwin" doctor
    expect 0 'developer and expert agree' "$bin/tiletwin" compare softmax --case minimum
    expect 2 'ASCEND_HOME_PATH is not set' "$bin/tiletwin" bench softmax --backend ascend
}

for name in "${@:-sim fork torch_npu}"; do
    for each in $name; do "$each"; done
done
[ "$failed" = 0 ] && echo 'every environment behaves as documented' || echo 'something differs from docs/environments.md'
exit "$failed"
