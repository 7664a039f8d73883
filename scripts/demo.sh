#!/usr/bin/env bash
# nearfar on one machine: a device and its far side, as two processes that speak mutual TLS.
#
#   scripts/demo.sh                    sets up, builds, fetches the models, asks and shows
#   scripts/demo.sh --questions FILE   asks one's own questions, one a line
#   scripts/demo.sh --keep             keeps the run's folder (configs, certificates, logs, answers)
#
# 1. asks questions of a daemon that routes them: near (0.5B) or far (1.5B, priced);
# 2. kills the far process: answers keep flowing from near, flagged;
# 3. brings it back: far answers again; then the budget is spent, and the wall holds.
# Everything that was started is ended, also on Ctrl-C. The last line says whether all went as told.
set -uo pipefail
here=$(cd "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd) || exit 70

questions=$here/scripts/demo_questions.txt keep=false
while [ $# -gt 0 ]; do
  case "$1" in
    --questions) [ $# -gt 1 ] || { echo "demo.sh: --questions needs a file" >&2; exit 64; }
                 questions=$2; shift ;;
    --keep) keep=true ;;
    --help|-h) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "demo.sh: unknown option '$1' (try --help)" >&2; exit 64 ;;
  esac
  shift
done
questions=$(realpath -- "$questions" 2>/dev/null) || true
[ -r "$questions" ] || { echo "demo.sh: the file of questions cannot be read" >&2; exit 66; }
cd "$here" || exit 70

started=$SECONDS
step() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }
die() { echo "demo.sh: $1" >&2; exit "${2:-70}"; }

# --- what is needed -------------------------------------------------------------------------------

step "set-up"
scripts/setup.sh --minimal || exit $?

step "build"
# Only the two programs; the tests' libraries are not needed for them.
scripts/build.sh demo nearfar nearfard || exit $?
nearfar=$PWD/build/demo/router/cli/nearfar
nearfard=$PWD/build/demo/router/daemon/nearfard

step "models"
scripts/models.sh qwen2.5-coder-0.5b qwen2.5-coder-1.5b || exit $?
near_model=qwen2.5-coder-0.5b-instruct-q4_k_m
far_model=qwen2.5-coder-1.5b-instruct-q4_k_m

# --- the two processes ----------------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/nearfar-demo.XXXXXX")
near_pid='' far_pid=''
# end PID: asks a process that we started to end, and sees to it.
end() {
  [ -n "$1" ] || return 0
  kill "$1" 2>/dev/null
  for _ in $(seq 50); do kill -0 "$1" 2>/dev/null || break; sleep 0.1; done
  kill -9 "$1" 2>/dev/null
  wait "$1" 2>/dev/null
  return 0
}
clean_up() {
  local code=$?
  trap - EXIT INT TERM
  end "$near_pid"
  end "$far_pid"
  if $keep; then echo "kept: $work"; else rm -rf "$work"; fi
  exit $code
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "certificates and configuration"
scripts/make_certs.sh "$work/certs" >/dev/null || die "the certificates could not be made"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
near_address=unix:$work/near.sock
export NEARFAR_STATE=$work/state

cat >"$work/far.yaml" <<END
schema_version: 1
listen:
  - address: "127.0.0.1:$port"
    tls: {cert_file: certs/server.crt, key_file: certs/server.key, client_ca_file: certs/ca.crt}
serve: {router: false, inference: true}
model: {path: $far_model}
state_dir: far-state
price: {input_usd_per_mtok: 3.00, output_usd_per_mtok: 15.00}
END
cat >"$work/near.yaml" <<END
schema_version: 1
listen:
  - address: "$near_address"
serve: {router: true, inference: false}
model: {path: $near_model}
policy: policy.yaml
state_dir: near-state
END

calibration=
for candidate in policies/calibrations/$near_model*.yaml; do
  [ -f "$candidate" ] && calibration="calibration: $(basename "$candidate")"
done
# write_policy LIMIT_USD: the preset `balanced`, pointed at this demo's far side.
write_policy() {
  cat >"$work/policy.yaml.new" <<END
schema_version: 1
name: demo
value: {right_answer_usd: 0.001, second_usd: 0.00002}
near:
  model: $near_model
  $calibration
  when_unknown: draft
far:
  - name: home-server
    protocol: nearfar
    target: "dns:///127.0.0.1:$port"
    tls: {ca_file: certs/ca.crt, cert_file: certs/client.crt, key_file: certs/client.key}
    trust: owner
    model: $far_model
    price: {input_usd_per_mtok: 3.00, output_usd_per_mtok: 15.00}
budget: {limit_usd: $1, window: 24h, when_spent: answer_near}
rules:
  - name: keep-secrets-home
    when: {any: [{pii: [email, phone, card, iban, secret]}, {keyword: [password, confidential]}]}
    then: {route: near, taint: session}
  - name: long-context
    when: {signal: prompt_tokens, above: 300}
    then: {route: far}
choose: {kind: net_value}
stream: {release: judged}
offline: {answer: near_flagged}
END
  mv "$work/policy.yaml.new" "$work/policy.yaml"
}
write_policy 0.05

# wait_for LOG PID WORD: until the daemon's log says WORD.
wait_for() {
  for _ in $(seq 300); do
    grep -q "$3" "$1" 2>/dev/null && return 0
    kill -0 "$2" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 5 "$1"
  die "a daemon did not get ready" 69
}
start_far() {
  : >"$work/far.log"
  "$nearfard" --config "$work/far.yaml" >>"$work/far.log" 2>&1 &
  far_pid=$!
  wait_for "$work/far.log" "$far_pid" " ready"
}
start_near() {
  : >"$work/near.log"
  "$nearfard" --config "$work/near.yaml" >>"$work/near.log" 2>&1 &
  near_pid=$!
  wait_for "$work/near.log" "$near_pid" " ready"
}

step "starting the far process ($far_model, mutual TLS, port $port) and the daemon ($near_model)"
start_far
start_near

# --- asking ---------------------------------------------------------------------------------------

# ask FILE QUESTION [OPTIONS]: one answer as a JSON line with its question, appended to FILE.
ask() {
  local file=$1 question=$2 answer code
  shift 2
  answer=$("$nearfar" ask --daemon "$near_address" --json --max-tokens 64 "$@" -- "$question" \
    2>"$work/ask.err" </dev/null)
  code=$?
  if [ -z "$answer" ]; then
    echo "nearfar ask ended with code $code: $(cat "$work/ask.err")"
    return 1
  fi
  QUESTION=$question ANSWER=$answer python3 -c '
import json, os
record = json.loads(os.environ["ANSWER"])
record["question"] = os.environ["QUESTION"]
print(json.dumps(record))' >>"$file"
}

# show FILE: the answers as a table. A step that shows nothing is a step that went wrong.
show() { python3 scripts/demo_table.py "$1" || die "the answers could not be shown"; }

step "asking the questions of $questions"
asked=0
while IFS= read -r question <&3 || [ -n "$question" ]; do
  case "$question" in ''|'#'*) continue ;; esac
  ask "$work/answers.jsonl" "$question" --session "demo-$asked" || die "a question got no answer" 69
  asked=$((asked + 1))
  if [ -t 1 ]; then printf '\r%d answered' "$asked"; fi
done 3<"$questions"
if [ -t 1 ]; then printf '\r'; fi
[ "$asked" -gt 0 ] || die "$questions holds no question" 65
show "$work/answers.jsonl"

step "the far process is killed (kill -9); three questions want to go far"
kill -9 "$far_pid" 2>/dev/null
wait "$far_pid" 2>/dev/null
far_pid=''
# Three that the policy had sent far by itself; where it sent fewer, others are asked to go far.
mapfile -t far_questions < <(python3 - "$work/answers.jsonl" <<'END'
import json, sys
records = [json.loads(line) for line in open(sys.argv[1])]
far = [r["question"] for r in records if r.get("route") == "far" and "rule" not in r["reason"]]
print("\n".join(far[:3]))
END
)
if [ ${#far_questions[@]} -lt 3 ]; then
  far_questions=("What is 47 * 83? Reply with the number only."
                 "Who wrote the opera \"The Cunning Little Vixen\"? Reply with the name only."
                 "What is the chemical symbol of tungsten? Reply with the symbol only.")
fi
for question in "${far_questions[@]}"; do
  ask "$work/killed.jsonl" "$question" --route far || die "a question got no answer" 69
done
show "$work/killed.jsonl"

step "the far process is back; the circuit breaker lets a question through in some seconds"
start_far
for _ in $(seq 60); do
  : >"$work/back.jsonl"
  ask "$work/back.jsonl" "${far_questions[0]}" --route far || die "a question got no answer" 69
  grep -q '"route": "far"' "$work/back.jsonl" && break
  sleep 0.5
done
show "$work/back.jsonl"

step "a policy with a budget of 0.00003 USD is loaded"
write_policy 0.00003
"$nearfar" policy reload --daemon "$near_address" || die "the policy was not loaded"
for question in "${far_questions[@]}"; do
  ask "$work/wall.jsonl" "$question" --route far || die "a question got no answer" 69
done
show "$work/wall.jsonl"

step "what the daemon's log says"
"$nearfar" log stats --log "$work/near-state/decisions.db" || die "the log could not be read"

# --- did it go as told? ---------------------------------------------------------------------------

python3 - "$work" <<'END'
import json, sys
load = lambda name: [json.loads(line) for line in open(f"{sys.argv[1]}/{name}.jsonl")]
answers, killed, back, wall = load("answers"), load("killed"), load("back"), load("wall")
problems = []
for r in answers + killed + back + wall:
    if "error" in r:
        problems.append("no answer to '{}': {}".format(r["question"], r["error"]["message"]))
if any(r.get("route", "near") != "near" for r in answers
       if "4111 1111" in r["question"] or "password" in r["question"].lower()):
    problems.append("a secret left the device")
if not all(r.get("route") == "near" and r.get("flagged") for r in killed):
    problems.append("answers did not flow on, flagged, without the far side")
if not any(r.get("route") == "far" for r in back):
    problems.append("the far side did not answer again after it came back")
if not all(r.get("flag_reason") == "budget_spent" for r in wall):
    problems.append("the budget's wall was not seen")
print()
for problem in problems:
    print("demo: " + problem)
if problems:
    print("demo: not all went as told; scripts/demo.sh --keep keeps the logs of both processes")
    sys.exit(1)
print("demo: all went as told")
END
code=$?
if [ $code -eq 0 ]; then
  echo
  echo "The programs are in build/demo/router/cli and build/demo/router/daemon. To have them at hand:"
  echo "  cmake --install build/demo --prefix ~/nearfar && export PATH=~/nearfar/bin:\$PATH"
  echo "  nearfar ask --policy private \"What is the capital of France?\"    # README.md goes on from here"
fi
exit $code
