#!/bin/sh
# On a machine with JAX's CUDA plugin (pip install "jax[cuda12]") and no network: the conformance suite on the XLA engine, then training
# ViT-B/32 in bfloat16 beside JAX, else PyTorch: pairs a second and the share of the card's peak.
#
#   tar xzf gpu-bench.tar.gz && sh bench/gpu.sh                 # the bundle of bench/gpu/make-bundle.ts
#   sh bench/gpu.sh --cpu                                       # a look at whether it runs, without a GPU
#   sh bench/gpu.sh --batch 2048 --steps 40 --out results/      # results/gpu.json
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
batch=1024 steps=20 warmup=5 rounds=2 precision=bfloat16 platform= out=. suite=yes model=ViT-B/32
while [ $# -gt 0 ]; do
  case $1 in
    --cpu) platform=cpu batch=8 steps=4 warmup=1 rounds=1 ;;
    --no-suite) suite=no ;;
    --batch | --steps | --warmup | --rounds | --precision | --out | --model)
      [ $# -ge 2 ] || { echo "gpu.sh: $1 needs a value" >&2; exit 2; }
      eval "${1#--}=\$2" && shift ;;
    *) echo "gpu.sh: unknown option $1 (--cpu, --no-suite, --batch, --steps, --warmup, --rounds, --precision, --model, --out)" >&2; exit 2 ;;
  esac
  shift
done
mkdir -p "$out"
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
"$node" "$root/dist/bench/gpu/devices.js" | tee "$work/device.json"

if [ $suite = yes ]; then
  echo "== conformance suite"
  if "$node" --test-reporter=dot "$root/dist/bench/gpu/conformance.js" > "$work/suite.log" 2>&1; then
    echo "all tests pass"
  else
    "$node" --test-reporter=spec "$root/dist/bench/gpu/conformance.js" > "$out/conformance.log" 2>&1 || true
    echo "TESTS FAIL; see $out/conformance.log"
    tail -n 60 "$out/conformance.log"
  fi
fi

# JAX if it sees the device, else PyTorch.
peer= flags=
[ -z "$platform" ] || flags=--cpu
[ -n "$flags" ] || for_jax=gpu
if python3 -c "import jax, sys; sys.exit(not jax.devices(sys.argv[1]))" "${for_jax:-cpu}" 2> /dev/null; then peer=jax
elif python3 -c "import sys, torch; sys.exit(not (sys.argv[1] or torch.cuda.is_available()))" "$flags" 2> /dev/null; then peer=torch
else echo "neither JAX nor PyTorch is here for python3: our side alone"
fi

echo "== training $model, batch $batch, $precision: $rounds rounds of $steps steps${peer:+, beside $peer}"
round=0
while [ $round -lt "$rounds" ]; do
  round=$((round + 1))
  "$node" "$root/dist/bench/gpu/step.js" --model "$model" --batch "$batch" --steps "$steps" --warmup "$warmup" \
    --precision "$precision" > "$work/side.json"
  cat "$work/side.json"
  cat "$work/side.json" >> "$work/sides.jsonl"
  if [ -n "$peer" ] && [ "$model" = ViT-B/32 ]; then
    if python3 "$root/bench/python/gpu_peer.py" "$peer" --batch "$batch" --steps "$steps" --warmup "$warmup" \
      --precision "$precision" $flags > "$work/side.json"; then
      cat "$work/side.json"
      cat "$work/side.json" >> "$work/sides.jsonl"
    else echo "$peer did not run"; fi
  fi
done

echo "== result"
"$node" "$root/dist/bench/gpu/report.js" "$work/device.json" "$work/sides.jsonl" "$out/gpu.json"
