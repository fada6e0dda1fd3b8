# bash completion for berth: verbs and options come from the program itself, job names from the running Berth.
_berth()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]} i
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$(berth __complete verbs 2>/dev/null) --help --version" -- "$cur")
        return
    fi
    # behind "--" stands the job's own command
    for ((i = 2; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -- ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
        fi
    done
    case $prev in
        -o | --output) mapfile -t COMPREPLY < <(compgen -W "json table" -- "$cur") && return ;;
        --state | -s) [[ $verb != submit && $verb != job ]] && mapfile -t COMPREPLY < <(compgen -W "queued preparing starting running finalizing completed failed canceled live started ended all" -- "$cur") && return ;;
        --priority) mapfile -t COMPREPLY < <(compgen -W "low medium high" -- "$cur") && return ;;
        --runtime) mapfile -t COMPREPLY < <(compgen -W "auto crun runc process" -- "$cur") && return ;;
        --compute) mapfile -t COMPREPLY < <(compgen -W "local any" -- "$cur") && return ;;
        --stream) [[ $verb == logs ]] && mapfile -t COMPREPLY < <(compgen -W "out err" -- "$cur") && return ;;
        --size) mapfile -t COMPREPLY < <(compgen -W "$(berth __complete sizes 2>/dev/null)" -- "$cur") && return ;;
        --workspace) mapfile -t COMPREPLY < <(compgen -W "$(berth __complete workspaces 2>/dev/null)" -- "$cur") && return ;;
        -e | --env) mapfile -t COMPREPLY < <(compgen -e -- "$cur") && return ;;
        --code | --state-dir | --download-path | --image | --mount) mapfile -t COMPREPLY < <(compgen -d -- "$cur") && return ;;
        --policy) mapfile -t COMPREPLY < <(compgen -W "fcfs easy easy-sjbf conservative berth" -- "$cur") && return ;;
        --file | -f | --host | --socket | --inventory | --gpu-library | --nodes | --gantt | --write)
            [[ $prev != -f || $verb == job ]] && mapfile -t COMPREPLY < <(compgen -f -- "$cur") && return ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(berth __complete options "$verb" 2>/dev/null)" -- "$cur")
        return
    fi
    case $verb in
        show | logs | wait | cancel | why | outputs | hold | release | update | df)
            mapfile -t COMPREPLY < <(compgen -W "$(berth __complete jobs 2>/dev/null)" -- "$cur") ;;
        quota) mapfile -t COMPREPLY < <(compgen -W "list set remove user workspace everyone request requests approve deny withdraw" -- "$cur") ;;
        family) mapfile -t COMPREPLY < <(compgen -W "list restrict unrestrict" -- "$cur") ;;
        size | workspace)
            if ((COMP_CWORD == 2)); then
                mapfile -t COMPREPLY < <(compgen -W "list show create update delete" -- "$cur")
            else
                mapfile -t COMPREPLY < <(compgen -W "$(berth __complete "${verb}s" 2>/dev/null)" -- "$cur")
            fi ;;
        reserve) mapfile -t COMPREPLY < <(compgen -W "list show delete" -- "$cur") ;;
        licence) mapfile -t COMPREPLY < <(compgen -W "list set" -- "$cur") ;;
        node) mapfile -t COMPREPLY < <(compgen -W "list show update drain resume lost" -- "$cur") ;;
        policy) mapfile -t COMPREPLY < <(compgen -W "show set fcfs easy easy-sjbf conservative berth" -- "$cur") ;;
        job)
            if ((COMP_CWORD == 2)); then
                mapfile -t COMPREPLY < <(compgen -W "create show stream list cancel download" -- "$cur")
            else
                mapfile -t COMPREPLY < <(compgen -W "$(berth __complete jobs 2>/dev/null)" -- "$cur")
            fi ;;
        help) mapfile -t COMPREPLY < <(compgen -W "$(berth __complete verbs 2>/dev/null)" -- "$cur") ;;
        submit | validate) mapfile -t COMPREPLY < <(compgen -f -X '!*.@(yml|yaml|json)' -- "$cur"; compgen -d -- "$cur") ;;
        *) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    esac
}
complete -o filenames -o bashdefault -F _berth berth
