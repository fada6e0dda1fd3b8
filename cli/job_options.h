/* The options that run and submit share, and how they become fields of a job file. */
#ifndef BERTH_CLI_JOB_OPTIONS_H
#define BERTH_CLI_JOB_OPTIONS_H

#include "cli/cli.h"
#include "cli/when.h"
#include "proto/json.h"

struct job_options {
    struct args_base base;
    const char *image, *memory, *time, *priority, *name, *code, *compute, *runtime, *display_name,
        *experiment, *description, *shm_size, *gpus, *gpu_memory, *begin, *size, *gpu_model, *workspace,
        *array, *warn, *continues, *reservation, *request;
    struct opt_number cpus, nodes, retry;
    bool exclusive, isolated, spot, hold, no_code, live, interactive, tty, split_streams, read_only, env_all;
    struct opt_list env, mounts, privates, tags, notify, inputs, after, labels, licences;
};

/* Rows of an option table of a struct whose member `job` is struct job_options and stands first. */
#define JOB_OPTION_ROWS                                                                                        \
    {"image",    0,                                                                                            \
     "IMAGE",    "host (the machine as it is), or a root filesystem folder that starts with / or ./",          \
     OPT_STRING, offsetof(struct job_options, image)},                                                         \
        {"gpus",     0,                                                                                        \
         "N",        "GPUs, or a share of one such as 0.5 (default: 1 where there are any)",                   \
         OPT_STRING, offsetof(struct job_options, gpus)},                                                      \
        {"cpus",     0,                                                                                        \
         "N",        "logical CPUs, rounded up to whole cores",                                                \
         OPT_NUMBER, offsetof(struct job_options, cpus)},                                                      \
        {"memory",   0,                                                                                        \
         "SIZE",     "memory: 512M, 2G (powers of 1024)",                                                      \
         OPT_STRING, offsetof(struct job_options, memory)},                                                    \
        {"nodes",    0,                                                                                        \
         "N",        "nodes; a task on each, all at once",                                                     \
         OPT_NUMBER, offsetof(struct job_options, nodes)},                                                     \
        {"gpu-memory", 0,                                                                                      \
         "SIZE",       "GPUs of at least so much memory; without --gpus a share that has it",                  \
         OPT_STRING,   offsetof(struct job_options, gpu_memory)},                                              \
        {"exclusive", 0,                                                                                       \
         NULL,        "the whole of each node, for this job alone",                                            \
         OPT_FLAG,    offsetof(struct job_options, exclusive)},                                                \
        {"isolated", 0,                                                                                        \
         NULL,       "no other tenant's job on the same node",                                                 \
         OPT_FLAG,   offsetof(struct job_options, isolated)},                                                  \
        {"spot",   0,                                                                                          \
         NULL,     "may be stopped for a job of a higher class, and is queued again",                          \
         OPT_FLAG, offsetof(struct job_options, spot)},                                                        \
        {"hold", 0, NULL, "wait until berth release", OPT_FLAG, offsetof(struct job_options, hold)},           \
        {"begin", 0, "TIME", "not before: " WHEN_COMING, OPT_STRING, offsetof(struct job_options, begin)},     \
        {"continue", 0,                                                                                        \
         "JOB",      "start from what that job of yours left: ./outputs, and the ignored files it changed",    \
         OPT_STRING, offsetof(struct job_options, continues)},                                                 \
        {"reservation", 0,                                                                                     \
         "NAME",        "run inside that reservation alone (berth reserve list)",                              \
         OPT_STRING,    offsetof(struct job_options, reservation)},                                            \
        {"after",     0,                                                                                       \
         "JOB[:HOW]", "wait for another job's start, ok, fail or end (default: ok; may be repeated)",          \
         OPT_LIST,    offsetof(struct job_options, after)},                                                    \
        {"array",    0,                                                                                        \
         "INDICES",  "one job for each index: 1-100, 0-99:2, 1,5,9-12; %N behind: at most N at once",          \
         OPT_STRING, offsetof(struct job_options, array)},                                                     \
        {"retry",    0,                                                                                        \
         "N",        "up to N more attempts when one fails",                                                   \
         OPT_NUMBER, offsetof(struct job_options, retry)},                                                     \
        {"time",     0,                                                                                        \
         "LIMIT",    "end the job after so long: 90s, 1h30m, 2d, 1-12:00:00",                                  \
         OPT_STRING, offsetof(struct job_options, time)},                                                      \
        {"priority", 0, "P", "low, medium or high", OPT_STRING, offsetof(struct job_options, priority)},       \
        {"name",     0,                                                                                        \
         "NAME",     "the job's name (default: one is made)",                                                  \
         OPT_STRING, offsetof(struct job_options, name)},                                                      \
        {"request",                                                                                            \
         0,                                                                                                    \
         "KEY",                                                                                                \
         "a key of your choice: the same one again gives the job that it made, and makes no other",            \
         OPT_STRING,                                                                                           \
         offsetof(struct job_options, request)},                                                               \
        {"code",     0,                                                                                        \
         "DIR",      "the folder whose copy the job sees (default: the current one)",                          \
         OPT_STRING, offsetof(struct job_options, code)},                                                      \
        {"live",   0,                                                                                          \
         NULL,     "run in the directory itself, without a copy (as run -it does)",                            \
         OPT_FLAG, offsetof(struct job_options, live)},                                                        \
        {"no-code", 0, NULL, "no copy of any folder", OPT_FLAG, offsetof(struct job_options, no_code)},        \
        {"env",      'e',                                                                                      \
         "K=V|NAME", "a variable for the job; NAME alone takes your own value (may be repeated)",              \
         OPT_LIST,   offsetof(struct job_options, env)},                                                       \
        {"env-all", 0,                                                                                         \
         NULL,      "with host: all of your shell's variables, not only those that training reads",            \
         OPT_FLAG,  offsetof(struct job_options, env_all)},                                                    \
        {"read-only", 0,                                                                                       \
         NULL,        "with host: the job can write only to its working directory and to mounts with rw",      \
         OPT_FLAG,    offsetof(struct job_options, read_only)},                                                \
        {"mount",          0,                                                                                  \
         "SRC[:DST][:rw]", "a directory of the machine, read-only unless rw (may be repeated)",                \
         OPT_LIST,         offsetof(struct job_options, mounts)},                                              \
        {"private", 0,                                                                                         \
         "DIR",     "give the job, or each element, its own copy of that ignored directory (may be repeated)", \
         OPT_LIST,  offsetof(struct job_options, privates)},                                                   \
        {"input",                                                                                              \
         0,                                                                                                    \
         "NAME=VALUE",                                                                                         \
         "an input of the job file, instead of its own; job:JOB, another job's outputs (may be repeated)",     \
         OPT_LIST,                                                                                             \
         offsetof(struct job_options, inputs)},                                                                \
        {"compute",  0,                                                                                        \
         "NAME",     "where to run: local, or any",                                                            \
         OPT_STRING, offsetof(struct job_options, compute)},                                                   \
        {"interactive", 'i',                                                                                   \
         NULL,          "hand standard input on to the job",                                                   \
         OPT_FLAG,      offsetof(struct job_options, interactive)},                                            \
        {"tty",    't',                                                                                        \
         NULL,     "give the job a terminal (-it: an interactive one)",                                        \
         OPT_FLAG, offsetof(struct job_options, tty)},                                                         \
        {"split-streams",                                                                                      \
         0,                                                                                                    \
         NULL,                                                                                                 \
         "keep standard output and error apart (no order between them)",                                       \
         OPT_FLAG,                                                                                             \
         offsetof(struct job_options, split_streams)},                                                         \
        {"runtime", 0, "R", "auto, crun, runc or process", OPT_STRING, offsetof(struct job_options, runtime)}, \
        {"shm-size", 0,                                                                                        \
         "SIZE",     "size of /dev/shm (default: half the memory)",                                            \
         OPT_STRING, offsetof(struct job_options, shm_size)},                                                  \
        {"display-name",      0,          "TEXT",                                                              \
         "a name for people", OPT_STRING, offsetof(struct job_options, display_name)},                         \
        {"experiment", 0,                                                                                      \
         "TEXT",       "the experiment it belongs to (default: the code folder's name)",                       \
         OPT_STRING,   offsetof(struct job_options, experiment)},                                              \
        {"description", 0, "TEXT", "a description", OPT_STRING, offsetof(struct job_options, description)},    \
        {"tag", 0, "K=V", "a tag (may be repeated)", OPT_LIST, offsetof(struct job_options, tags)},            \
        {"size",     0,                                                                                        \
         "NAME",     "a size of the table: its CPUs, memory and GPUs (berth size list)",                       \
         OPT_STRING, offsetof(struct job_options, size)},                                                      \
        {"gpu-model", 0,                                                                                       \
         "MODEL",     "GPUs of this model, or a part of its name: H100",                                       \
         OPT_STRING,  offsetof(struct job_options, gpu_model)},                                                \
        {"label",  0,                                                                                          \
         "L",      "only nodes that have this label (may be repeated)",                                        \
         OPT_LIST, offsetof(struct job_options, labels)},                                                      \
        {"workspace", 0,                                                                                       \
         "NAME",      "the workspace that it belongs to (default: $BERTH_WORKSPACE, else default)",            \
         OPT_STRING,  offsetof(struct job_options, workspace)},                                                \
        {"notify", 0, "WHERE", "not honoured yet", OPT_LIST, offsetof(struct job_options, notify)},            \
        {"warn",     0,                                                                                        \
         "[SIG@]T",  "send a signal (default: USR1) so long ahead of the time limit: 5m, TERM@90s",            \
         OPT_STRING, offsetof(struct job_options, warn)},                                                      \
        {"licence",  0,                                                                                        \
         "NAME[=N]", "so many of a licence (default: 1) while it runs (may be repeated)",                      \
         OPT_LIST,   offsetof(struct job_options, licences)},                                                  \
        OPT_HOST(struct job_options)

/* Writes the given options into the job file `file`, over what stands there. ERROR_INVALID for what makes no
 * sense, ERROR_UNSUPPORTED for --notify. */
bool job_options_apply(const struct job_options *options, cJSON *file, struct error *err);
/* The command of `run -- CMD...`: argv, or `command` (a shell's) where it is one word that only a shell
 * understands. */
void job_options_command(cJSON *file, int argc, char **argv);

#endif
