#!/usr/bin/env bash
# A few calls against a deployed stack, for less than a cent, each check printed. `make smoke URL=...`
#
# Signs with the AWS credentials of the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; from a profile by
# `eval "$(aws configure export-credentials --format env)"`), or bears the key in API_KEY. With neither, as against `cargo run`, it does not
# authenticate.
set -euo pipefail
url=${1:?the URL of the API, such as the output ApiUrl}
url=${url%/}
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
failed=0

who=()
if [ -n "${API_KEY:-}" ]; then
    who=(-H "authorization: Bearer $API_KEY")
elif [ -n "${AWS_ACCESS_KEY_ID:-}" ]; then
    region=$(sed -nE 's/.*execute-api\.([a-z0-9-]+)\..*/\1/p' <<< "$url")
    region=${region:-${AWS_REGION:-us-east-1}}
    who=(--aws-sigv4 "aws:amz:$region:execute-api" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY")
    [ -z "${AWS_SESSION_TOKEN:-}" ] || who+=(-H "x-amz-security-token: $AWS_SESSION_TOKEN")
fi

# check NAME STATUS TEXT CURL-ARGUMENTS...: the status, and a text in the answer.
check() {
    local name=$1 status=$2 text=$3 got
    shift 3
    got=$(curl -sS -o "$answer" -w '%{http_code}' --max-time 120 "$@") || got="no answer"
    if [ "$got" = "$status" ] && grep -qF -- "$text" "$answer"; then
        echo "ok      $name"
    else
        echo "FAILED  $name: $got, wanted $status and $text"
        head -c 400 "$answer"
        echo
        failed=1
    fi
}

json=(-H 'content-type: application/json')
check 'GET /health, by nobody' 200 '"status":"ok"' "$url/health"
check 'GET /models' 200 '"models":[' "${who[@]}" "$url/models"
check 'GET /openapi.json' 200 '"openapi"' "${who[@]}" "$url/openapi.json"
check 'POST /route decides and calls nothing' 200 '"candidates"' "${who[@]}" "${json[@]}" "$url/route" -d '{"prompt": "Why is the sky blue?"}'
check 'POST /estimate' 200 '"estimates"' "${who[@]}" "${json[@]}" "$url/estimate" -d '{"inputTokens": 1000, "outputTokens": 100}'
check 'POST /invoke' 200 '"cost"' "${who[@]}" "${json[@]}" "$url/invoke" \
    -d '{"prompt": "Say yes.", "budget": "lower-cost", "inferenceConfig": {"maxTokens": 20}, "maxCostUsd": 0.002}'
check 'POST /invoke as a stream' 200 'event: done' -N "${who[@]}" "${json[@]}" "$url/invoke" \
    -d '{"prompt": "Say yes.", "budget": "lower-cost", "inferenceConfig": {"maxTokens": 20}, "maxCostUsd": 0.002, "stream": true}'
check 'POST /v1/chat/completions' 200 '"finish_reason"' "${who[@]}" "${json[@]}" "$url/v1/chat/completions" \
    -d '{"model": "auto:lower-cost", "messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 20, "maxCostUsd": 0.002}'
check 'POST /embeddings' 200 '"embeddings"' "${who[@]}" "${json[@]}" "$url/embeddings" -d '{"texts": ["one", "two"]}'
check 'a wrong field is a problem' 400 'urn:bedrock-router:problem:' "${who[@]}" "${json[@]}" "$url/invoke" -d '{"promt": "x"}'
if [ ${#who[@]} -gt 0 ]; then
    got=$(curl -sS -o "$answer" -w '%{http_code}' "${json[@]}" "$url/route" -d '{"prompt": "x"}')
    case $got in
    401 | 403) echo "ok      nobody is let in ($got)" ;;
    *) echo "FAILED  nobody is let in: $got" && failed=1 ;;
    esac
fi
exit $failed
