#!/bin/sh
# Runs each image as a cluster does, then the whole pipeline with models that learn next to nothing,
# each step in its own image: a step's answer, its last line, is the next one's input.
#
#   manifests/images/check.sh [NAME...]     # with names, these images only, and no pipeline
#
# Stops at the first failure. Needs docker or podman (CONTAINER_ENGINE), curl, and spatialreward on
# PATH for the object store; MLflow and Triton run from their images.
set -eu

version=0.1.0
here=${0%/*}
name=spatialreward-check-$$
models=/models

engine=${CONTAINER_ENGINE:-}
for candidate in docker podman; do
    if [ -z "$engine" ] && "$candidate" info >/dev/null 2>&1; then engine=$candidate; fi
done
case "$engine" in
    docker | podman) ;;
    *) echo "running an image needs docker or podman, got '$engine'" >&2; exit 1 ;;
esac

# Servers that a container asks listen on this machine's loopback interface.
contained() {
    "$engine" run --pull=never --read-only --cap-drop=ALL --network=host \
        --security-opt=no-new-privileges --tmpfs=/tmp:mode=1777 --tmpfs=/work:mode=1777 "$@"
}

check() {
    tag=spatialreward/$1:$version
    constraints=constraints.txt
    status=0
    case "$1" in
        # Triton's --help ends with status 1.
        serving) constraints=constraints-triton.txt status=1
            modules='torch transformers spatialreward.serving.server' ;;
        mlflow) modules='mlflow.server psycopg2 boto3' ;;
        *) step=components.$(echo "$1" | tr - _)
            modules="$step.component $step.steps" ;;
    esac
    for label in title licenses version revision created; do
        value=$("$engine" image inspect \
            --format "{{index .Config.Labels \"org.opencontainers.image.$label\"}}" "$tag")
        [ -n "$value" ] || { echo "$tag: no label $label" >&2; exit 1; }
    done
    # Modules are words: shellcheck disable=SC2086
    contained --rm --entrypoint=/opt/venv/bin/python "$tag" \
        -c "$(cat "$here/probe.py")" "/opt/venv/$constraints" $modules
    found=0
    help=$(contained --rm "$tag" --help 2>&1) || found=$?
    case "$found $help" in
        "$status "*[Uu]sage*) ;;
        *) echo "$tag: --help: status $found: $help" >&2; exit 1 ;;
    esac
    echo "$1: labels, user, content, imports and --help are right" >&2
}

if [ $# -gt 0 ]; then
    for image; do check "$image"; done
    exit
fi
for image in data-building reward-training reward-evaluation reward-deployment rl-finetuning \
    editor-evaluation serving mlflow; do
    check "$image"
done

folder=$(mktemp -d)
stop() {
    "$engine" rm --force "$name-mlflow" "$name-serving" >/dev/null 2>&1 || true
    "$engine" volume rm --force "$name" >/dev/null 2>&1 || true
    spatialreward stack down --state-dir="$folder" >&2
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

spatialreward stack up --state-dir="$folder" --without=mlflow --without=triton >&2
variables=$(spatialreward stack env --state-dir="$folder")
eval "$variables"
names=$(echo "$variables" | sed -n 's/^export \([A-Z0-9_]*\)=.*/--env=\1/p')

healthy() { # IMAGE URL
    tries=0
    until curl --silent --fail --noproxy '*' --output /dev/null "$2"; do
        tries=$((tries + 1))
        running=$("$engine" inspect --format '{{.State.Running}}' "$name-$1")
        if [ "$running" != true ] || [ $tries -gt 300 ]; then
            echo "$1: $2 does not answer: $("$engine" logs --tail=1 "$name-$1" 2>&1)" >&2
            exit 1
        fi
        sleep 1
    done
    echo "$1: healthy" >&2
}

key=$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')
# shellcheck disable=SC2046,SC2086
set -- $(python -c 'from spatialreward.stack.ports import free_ports
with free_ports() as free: print(*(next(free) for _ in range(4)))') $names
mlflow=http://127.0.0.1:$1 triton=http://127.0.0.1:$2 grpc=127.0.0.1:$3
contained --detach --name="$name-mlflow" $names "spatialreward/mlflow:$version" server \
    --host=127.0.0.1 --port="$1" --workers=1 --backend-store-uri=sqlite:////work/mlflow.db \
    --serve-artifacts --artifacts-destination=s3://mlflow >/dev/null
# A volume's first container gives it the content and the owner that the image has there.
contained --detach --name="$name-serving" --volume="$name:$models" --shm-size=512m \
    "spatialreward/serving:$version" --model-repository=$models --model-control-mode=explicit \
    --backend-config=python,stub-timeout-seconds=300 \
    "--http-restricted-api=model-repository,shared-memory,trace,logging:key=$key" \
    "--grpc-restricted-protocol=model-repository,shared-memory,trace,logging:key=$key" \
    --http-address=127.0.0.1 --http-port="$2" --grpc-address=127.0.0.1 --grpc-port="$3" \
    --metrics-address=127.0.0.1 --metrics-port="$4" >/dev/null
healthy mlflow "$mlflow/health"
healthy serving "$triton/v2/health/live"

step() { # IMAGE STEP OPTION...
    image=$1
    shift
    # Only the deployment writes models for Triton.
    volume=
    [ "$image" != reward-deployment ] || volume=--volume=$name:$models
    # shellcheck disable=SC2086
    answer=$(contained --rm $names $volume --env=MLFLOW_TRACKING_URI="$mlflow" --env=TRITON_GRPC_URL="$grpc" \
        --env=TRITON_MODEL_REPOSITORY=$models --env=TRITON_REPOSITORY_KEY="$key" \
        "spatialreward/$image:$version" "$@")
    echo "$answer" | tail -n 1
    echo "$image: $1: $(echo "$answer" | tail -n 1)" >&2
}

world='"world": {"num_train": 32, "num_heldout": 12, "num_shards": 1}'
denoising='{"num_denoising_steps": 2}'
editor='{"kind": "tiny", "pretraining": {"num_samples": 8, "stage_shares": [0.5],
  "optimiser": {"batch_size": 4}, "codec": {"num_samples": 8, "optimiser": {"batch_size": 4}},
  "network": {"width": 48, "num_layers": 1, "num_heads": 2}}}'
# The shipped base knows how to answer, and must not forget it.
training='{"num_samples": 4, "drawn_share": 0.5,
  "optimiser": {"learning_rate": 1e-7, "batch_size": 4}}'
gate='{"min_pairwise_accuracy": 0, "min_mean_iou": 0, "max_unparsable_share": 1}'
rl='{"num_steps": 2, "num_prompts": 2, "group_size": 2, "max_failed_share": 1,
  "sampling": '$denoising'}'

set -- --config="${world#*: }" --shard=0
shard=$(step data-building build-shard "$@" --split=train)
heldout=$(step data-building build-shard "$@" --split=heldout)
data=$(step data-building merge-shards --shards="[\"$shard\"]")
before=$(step rl-finetuning pretrain-editor --config="{\"editor\": $editor}" --data="$data")
drawing="{\"num_edits\": 4, \"group_size\": 2, \"denoising\": $denoising}"
drawn=$(step rl-finetuning draw-edits --config="{\"drawing\": $drawing, $world}" --editor="$before")
judge=$(step reward-training train-judge --data="$data" --drawn="$drawn" \
    --config="{\"base\": {\"kind\": \"shipped\"}, \"training\": $training, $world}")
evaluated=$(step reward-evaluation evaluate-judge --config="{$world}" --judge="$judge" \
    --heldout="$heldout")
model=$(step reward-deployment register-judge --config="{\"gate\": $gate}" --judge="$judge" \
    --evaluation="$evaluated")
served=$(step reward-deployment deploy-judge --model="$model")
after=$(step rl-finetuning finetune-editor --config="{\"rl\": $rl, $world}" --editor="$before" \
    --served="$served")
evaluation="{\"num_instructions\": 4, \"denoising\": $denoising, \"num_bootstrap_samples\": 50}"
evaluated=$(step editor-evaluation compare-editors --before="$before" --after="$after" \
    --served="$served" --config="{\"evaluation\": $evaluation, $world}")
step editor-evaluation register-editor --config='{}' --editor="$after" --evaluation="$evaluated"
