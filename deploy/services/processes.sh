# shellcheck shell=bash disable=SC2154 # services.sh sets what all of them use
# Processes that deploy/services.sh starts: each is known by its pid together with the moment it began, so that a
# pid that the system gave away again is never taken for it. Needs $run and $logs.

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'services.sh: %s\n' "$*" >&2
    exit 1
}

# A pause of a poll. Everything that polls has a limit of its own.
pause() {
    sleep 0.1
}

# began PID: when it began, in ticks since the machine started; fails if it is gone or a zombie.
began() {
    local stat fields
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    # The name, in brackets, may hold anything; the state is the first field after it and the moment the twentieth.
    read -r -a fields <<<"${stat##*) }"
    [ "${fields[0]}" != Z ] && [ "${fields[0]}" != X ] || return 1
    printf '%s' "${fields[19]}"
}

# pid_of NAME: the pid of what runs under this name; fails if nothing does.
pid_of() {
    local pid moment
    { read -r pid moment <"$run/$1.pid"; } 2>/dev/null || return 1
    [ "$(began "$pid")" = "$moment" ] || return 1
    printf '%s' "$pid"
}

# launch NAME FOLDER COMMAND...: in a session of its own, away from the terminal, with a new log.
launch() {
    local name=$1 where=$2
    shift 2
    [ ! -e "$logs/$name.log" ] || mv "$logs/$name.log" "$logs/$name.log.before"
    # A server must not keep the locks of this script.
    (cd "$where" && exec setsid "$@") </dev/null >"$logs/$name.log" 2>&1 8>&- 9>&- &
    printf '%s %s\n' "$!" "$(began "$!")" >"$run/$name.pid"
}

# gone NAME SECONDS: waits until it has ended.
gone() {
    local name=$1 limit=$2 start=$SECONDS told=2
    while pid_of "$name" >/dev/null; do
        ((SECONDS - start < limit)) || return 1
        if ((SECONDS - start >= told)); then
            say "$name: stopping, $((SECONDS - start)) s" >&2
            told=$((told + 5))
        fi
        pause
    done
    rm -f "$run/$name.pid" "$run/$name.settled"
}

# ask_to_end NAME SIGNAL
ask_to_end() {
    local pid
    pid=$(pid_of "$1") || return 0
    kill -s "$2" "$pid" 2>/dev/null || true
}

# stop NAME SECONDS: waits for what was asked to end, and ends it when it does not.
stop() {
    local name=$1 limit=$2 pid
    pid=$(pid_of "$name") || { rm -f "$run/$name.pid" && return; }
    gone "$name" "$limit" && return
    say "$name: has not ended within $limit s, killing it" >&2
    kill -s KILL "$pid" 2>/dev/null || true
    gone "$name" 10 || fail "$name (pid $pid) does not even end when killed"
}

# strays FOLDER COMMAND...: the pids of processes of these names that work in this folder, also if it was deleted.
strays() {
    local where=$1 found name
    shift
    while read -r found; do
        { read -r name <"$found/comm"; } 2>/dev/null || continue
        case " $* " in *" $name "*) printf '%s\n' "${found#/proc/}" ;; esac
    done < <(find /proc -mindepth 2 -maxdepth 2 -path '/proc/[0-9]*' -name cwd \
        \( -lname "$where" -o -lname "$where/*" -o -lname "$where (deleted)" \) -printf '%h\n' 2>/dev/null)
}

# sweep FOLDER COMMAND...: ends what a killed server left behind; most of it ends by itself in a moment.
sweep() {
    local start=$SECONDS pid
    while [ -n "$(strays "$@")" ]; do
        if ((SECONDS - start >= 3)); then
            for pid in $(strays "$@"); do
                kill -s KILL "$pid" 2>/dev/null || true
            done
        fi
        ((SECONDS - start < 10)) || fail "these processes in $1 do not end: $(strays "$@" | tr '\n' ' ')"
        pause
    done
}
