#!/usr/bin/env bash
# amqp-tools against a broker, as typed in a shell.
url=amqp://guest:guest@127.0.0.1:$AMQP_PORT/%2f
bad=0
# equal NAME SEEN WANTED
equal() {
  if [ "$2" = "$3" ]; then echo "ok $1"; else
    echo "FAIL $1: seen '$2', wanted '$3'"
    bad=1
  fi
}

equal declare "$(amqp-declare-queue -u "$url" -d -q tools)" tools
amqp-publish -u "$url" -r tools -p -b first
echo -n second | amqp-publish -u "$url" -r tools
equal get "$(amqp-get -u "$url" -q tools)" first
equal consume "$(amqp-consume -u "$url" -q tools -c 1 cat)" second
amqp-get -u "$url" -q tools >/dev/null
equal get_of_nothing $? 2
printf 'a\nb\nc\n' | amqp-publish -u "$url" -e amq.direct -r tools.key -l
equal unroutable_is_dropped $? 0
amqp-publish -u "$url" -r tools -b last
equal delete "$(amqp-delete-queue -u "$url" -q tools)" 1
amqp-get -u "$url" -q tools >/dev/null 2>&1
equal get_from_nowhere $? 1
# A queue of its own, bound to an exchange, consumed until it has three lines.
timeout 20 amqp-consume -u "$url" -e amq.topic -r 'tools.#' -c 3 -A -- sh -c "cat; echo" >"$TOOLS_OUT" &
consumer=$!
for _ in $(seq 100); do
  amqp-publish -u "$url" -e amq.topic -r tools.line.x -b line
  kill -0 $consumer 2>/dev/null || break
  sleep 0.05
done
wait $consumer
equal consume_bound $? 0
equal consumed "$(sort -u "$TOOLS_OUT" | grep -c line)" 1
exit $bad
