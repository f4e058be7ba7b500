#!/bin/sh
# On a machine with JAX's CUDA plugin (pip install "jax[cuda12]") and no network: training ViT-B/32 in bfloat16 beside JAX, else PyTorch
# (pairs a second and the share of the card's peak), then the conformance suite on the XLA engine. Ends within --minutes (9), whatever is not
# done by then is left out.
#
#   tar xzf gpu-bench.tar.gz && sh bench/gpu.sh                 # the bundle of bench/gpu/make-bundle.ts
#   sh bench/gpu.sh --cpu                                       # a look at whether it runs, without a GPU
#   sh bench/gpu.sh --batch 2048 --steps 40 --out results/      # results/gpu.json, results/conformance.log
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
batch=1024 steps=20 warmup=5 rounds=2 precision=bfloat16 platform= out=. suite=yes model=ViT-B/32 minutes=9
while [ $# -gt 0 ]; do
  case $1 in
    --cpu) platform=cpu batch=8 steps=4 warmup=1 rounds=1 ;;
    --no-suite) suite=no ;;
    --batch | --steps | --warmup | --rounds | --precision | --out | --model | --minutes)
      [ $# -ge 2 ] || { echo "gpu.sh: $1 needs a value" >&2; exit 2; }
      eval "${1#--}=\$2" && shift ;;
    *) echo "gpu.sh: unknown option $1 (--cpu, --no-suite, --batch, --steps, --warmup, --rounds, --precision, --model, --out, --minutes)" >&2; exit 2 ;;
  esac
  shift
done
mkdir -p "$out"
end=$(($(date +%s) + 60 * minutes))
# Runs something as long as there is time; 124 where there is none left.
within() {
  left=$((end - $(date +%s)))
  [ $left -gt 0 ] || return 124
  timeout -k 5 "$left" "$@"
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# Node: that of the bundle, unpacked once, or the machine's.
if [ -f "$root/node.xz" ] && [ ! -x "$root/node" ]; then
  xz -dk "$root/node.xz" 2> /dev/null || python3 -c 'import lzma, shutil, sys
with lzma.open(sys.argv[1]) as packed, open(sys.argv[2], "wb") as file: shutil.copyfileobj(packed, file)' "$root/node.xz" "$root/node"
  chmod +x "$root/node"
fi
node=node
[ -x "$root/node" ] && node=$root/node
export GPU_BENCH_PLATFORM="$platform" TF_CPP_MIN_LOG_LEVEL=2

echo "== device"
within "$node" "$root/dist/bench/gpu/devices.js" | tee "$work/device.json"
[ -s "$work/device.json" ] || { echo "gpu.sh: no device" >&2; exit 1; }

# JAX if it sees the device, else PyTorch.
peer= flags=
[ -z "$platform" ] || flags=--cpu
[ -n "$flags" ] || for_jax=gpu
if python3 -c "import jax, sys; sys.exit(not jax.devices(sys.argv[1]))" "${for_jax:-cpu}" 2> /dev/null; then peer=jax
elif python3 -c "import sys, torch; sys.exit(not (sys.argv[1] or torch.cuda.is_available()))" "$flags" 2> /dev/null; then peer=torch
else echo "neither JAX nor PyTorch is here for python3: our side alone"
fi

# A line of a side, kept if it ended well. $1 is its name.
side() {
  name=$1 && shift
  if within "$@" > "$work/side.json" 2> "$work/side.log"; then tee -a "$work/sides.jsonl" < "$work/side.json"
  else
    echo "$name did not run to its end (status $?):"
    tail -n 20 "$work/side.log"
  fi
}

echo "== training $model, batch $batch, $precision: $rounds rounds of $steps steps${peer:+, beside $peer}"
: > "$work/sides.jsonl"
round=0
while [ $round -lt "$rounds" ]; do
  round=$((round + 1))
  side clip-ts "$node" "$root/dist/bench/gpu/step.js" --model "$model" --batch "$batch" --steps "$steps" --warmup "$warmup" \
    --precision "$precision"
  [ -z "$peer" ] || [ "$model" != ViT-B/32 ] ||
    side $peer python3 "$root/bench/python/gpu_peer.py" $peer --batch "$batch" --steps "$steps" --warmup "$warmup" \
      --precision "$precision" $flags
done

echo "== result"
if [ -s "$work/sides.jsonl" ]; then
  "$node" "$root/dist/bench/gpu/report.js" "$work/device.json" "$work/sides.jsonl" "$out/gpu.json"
else echo "no side ran to its end"
fi

[ $suite = yes ] || exit 0
echo "== conformance suite"
status=0
within "$node" --test-reporter=spec "$root/dist/bench/gpu/conformance.js" > "$out/conformance.log" 2>&1 || status=$?
case $status in
  0 | 1) grep -E "^[^a-z]* (tests|pass|fail) " "$out/conformance.log" ;;
  *) echo "ended with status $status (124: out of time); until then passed $(grep -c "^ *✔" "$out/conformance.log"), failed $(grep -c "^ *✖" "$out/conformance.log")" ;;
esac
[ $status = 0 ] || { echo "see $out/conformance.log:"; grep -A 8 "^ *✖" "$out/conformance.log" | tail -n 60; }
