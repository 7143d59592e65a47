# shellcheck shell=bash
# Shared by deploy/up and tests/run: install what is missing, configure, build, say what happens.
# Sourced, not run. Needs $top, the repository's folder.

build_dir=${WARREN_BUILD_DIR:-$top/build}

# What the build needs, as Debian 12 calls it.
build_packages=(
  g++ cmake ninja-build pkg-config ccache mold
  libboost1.81-dev libboost-url1.81-dev libboost-json1.81-dev
  libgrpc++-dev protobuf-compiler-grpc protobuf-compiler libprotobuf-dev
  librocksdb-dev libssl-dev libpcre2-dev libspdlog-dev libfmt-dev libcli11-dev
  libjemalloc-dev libgtest-dev libgmock-dev
)

say() { printf '== %s\n' "$*"; }
fail() {
  printf '\n!! %s\n' "$*" >&2
  exit 1
}

# missing_packages name...: those that are not installed.
missing_packages() {
  local name
  for name in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
  done
}

# install_packages name...: installs the missing ones; does nothing, and needs no network, when there are none.
install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "this is not Debian: taking it that these are there: $*"
    return
  fi
  local missing as_root=()
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "these packages are missing, and only root can install them: ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${#missing[@]} Debian packages (a minute or two): ${missing[*]}"
  mkdir -p "$build_dir"
  local log=$build_dir/packages.log
  if ! { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    fail "the packages could not be installed (whole log: $log)"
  fi
}

# Compilers at once: one per processor, and no more than the memory has room for (1.3 GB each at worst).
build_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/MemAvailable/ {print int($2 / 1300000)}' /proc/meminfo)
  [ "${memory:-1}" -lt 1 ] && memory=1
  echo $((cores < memory ? cores : memory))
}

configure() {
  mkdir -p "$build_dir"
  local log=$build_dir/configure.log
  if ! cmake -S "$top" -B "$build_dir" -G Ninja "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    fail "cmake could not configure the build (whole log: $log)"
  fi
}

# build target...: quiet; says how much there is to do, then a line every quarter of a minute.
build() {
  local jobs log=$build_dir/build.log last=$SECONDS begin=$SECONDS told=false line done_steps all_steps
  jobs=$(build_jobs)
  : >"$log"
  # What is out of date is known only from ninja's own first line: a dry run stops at its check of the globs.
  if ! ninja -C "$build_dir" -j "$jobs" "$@" 2>&1 | while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
    done_steps=${BASH_REMATCH[1]} all_steps=${BASH_REMATCH[2]}
    if ! $told && [ "$all_steps" -gt 2 ]; then
      told=true
      say "building: $all_steps steps on $jobs processors, about $(((all_steps * 5 / jobs + 59) / 60)) min the first time, less with a warm ccache"
    fi
    if [ $((SECONDS - last)) -ge 15 ]; then
      last=$SECONDS
      printf '   %3d %%  (%s of %s, %d s)\n' $((done_steps * 100 / all_steps)) \
        "$done_steps" "$all_steps" $((SECONDS - begin))
    fi
  done; then
    grep -A 25 '^FAILED' "$log" | grep -v '^/usr/bin/c' | head -n 60 >&2
    fail "the build failed (whole log: $log)"
  fi
  if grep -q '^ninja: no work' "$log"; then
    say "the build is up to date"
  else
    say "built in $((SECONDS - begin)) s"
  fi
}

# The names under which the one program is called.
link_names() {
  local name
  for name in rabbitmq-server rabbitmqctl rabbitmq-plugins rabbitmq-queues rabbitmq-diagnostics rabbitmq-upgrade; do
    ln -sfn warren "$build_dir/bin/$name"
  done
}
