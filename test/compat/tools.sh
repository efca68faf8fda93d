# Words of the steps in cases/*.txt, and what is done after each case.
# SOCKET: the daemon's; BOX and BOX_TAR: id and archive of the image that is there before each case.

api() {
  method=$1
  path=$2
  if [ $# -gt 2 ]; then set -- -H 'Content-Type: application/json' -d "$3"; else set --; fi
  curl -sS --max-time 20 --unix-socket "$SOCKET" -X "$method" -w '\n%{http_code}\n' "$@" \
    "http://d/v$DOCKER_API_VERSION$path"
}

head_api() {
  curl -sS --max-time 20 --unix-socket "$SOCKET" -I "http://d/v$DOCKER_API_VERSION$1" | tr -d '\r' |
    grep -v -i -E '^(date|server|connection|keep-alive|content-length|transfer-encoding)'
}

# build OPTIONS [CONTEXT] <<'END' (Dockerfile) END
build() {
  cat >Dockerfile
  docker build "$@" . 2>&1 | grep -v -E 'DEPRECATED|BuildKit|buildx|^ *$|Sending build'
}

until_ok() {
  n=0
  while ! "$@" >/dev/null 2>&1; do
    n=$((n + 1))
    [ $n -gt 100 ] && return 1
    sleep 0.1
  done
}

state_is() {
  [ "$(docker inspect -f '{{.State.Status}}' "$1")" = "$2" ]
}

clean_up() {
  docker ps -aq | xargs -r docker rm -f -v
  docker volume ls -q | xargs -r docker volume rm -f
  docker network ls -q -f type=custom | xargs -r docker network rm
  docker images --format '{{.Repository}}:{{.Tag}}' | grep -v -E '^(box:latest|<none>.*)$' | xargs -r docker rmi -f
  # an image with children stays until they have gone, and their order is chance
  for _ in 1 2 3; do
    docker images -aq --no-trunc | sort -u | grep -v "$BOX" | xargs -r docker rmi -f
  done
  docker image inspect box:latest >/dev/null 2>&1 || docker load -i "$BOX_TAR"
}
