/*
 * The job file: an Azure ML CLI v2 command job with Berth's own fields (docs/PROTOCOL.md section 6), parsed
 * and checked in one place for the CLI, the scheduler and the executor. Field names follow
 * commandJob.schema.json.
 */
#ifndef BERTH_PROTO_JOBSPEC_H
#define BERTH_PROTO_JOBSPEC_H

#include "base/error.h"
#include "proto/array.h"
#include "proto/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Limits. A value at the limit is accepted, one past it refused. */
#define JOB_NAME_MAX 64
#define JOB_ADDRESS_MAX 192          /* bytes of USER/NAME#NUMBER@INDEX */
#define JOB_RESERVATION_MAX 64       /* bytes of a reservation's name */
#define JOB_TEXT_MAX 1024            /* display_name, experiment_name */
#define JOB_DESCRIPTION_MAX 65536    /* bytes */
#define JOB_TAGS_MAX 128             /* tags; each key and value at most JOB_TEXT_MAX */
#define JOB_FILE_MAX_BYTES (2 << 20) /* bytes of the whole file as compact JSON: what a launch carries */
#define JOB_FILE_VALUES_MAX 131072   /* values of the file's JSON text: texts, numbers, lists, mappings */
#define JOB_COMMAND_MAX 131071       /* bytes: MAX_ARG_STRLEN less its NUL, execve(2) */
#define JOB_ARGS_MAX 65536           /* arguments */
#define JOB_ENVIRONMENT_MAX_BYTES                                                                            \
    (1 << 20) /* names and values of environment_variables and of the submitting shell together */
#define JOB_VARIABLES_MAX 4096        /* of environment_variables, and as many of the submitting shell */
#define JOB_VARIABLE_MAX_BYTES 131071 /* one NAME=value: MAX_ARG_STRLEN less its NUL */
#define JOB_MOUNTS_MAX 256
#define JOB_INPUTS_MAX 1024
#define JOB_LITERAL_MAX 131071 /* bytes of an input's literal */
#define JOB_COMPUTE_MAX 16     /* names in `compute` */
#define JOB_REMOTE_MAX 4096    /* bytes of the code's git remote */
#define JOB_HOST_MAX 255       /* bytes of the submitting machine's name */
#define JOB_CLIENT_MAX 128     /* bytes of the submitting program's name */
#define JOB_LEFT_OUT_MAX 4096
#define JOB_PRIVATE_MAX 64
#define JOB_IGNORE_FILES_MAX 256
#define JOB_IGNORE_MAX_BYTES (64 << 10) /* of all ignore files' rules together */
#define JOB_PATH_MAX 4095
#define JOB_CPUS_MAX 65536
#define JOB_GPUS_MAX 1024
#define JOB_MEMORY_MIN_BYTES (INT64_C(16) << 20)
#define JOB_MEMORY_MAX_BYTES (INT64_C(1) << 50)
#define JOB_TIME_LIMIT_MIN_MS 1000
#define JOB_TIME_LIMIT_MAX_MS (INT64_C(10) * 366 * 86400 * 1000)
#define JOB_GRACE_DEFAULT_MS 30000
#define JOB_GRACE_MAX_MS (INT64_C(24) * 3600 * 1000)
#define JOB_INSTANCES_MAX 1024
#define JOB_PROCESSES_MAX 1024 /* of one instance */
#define JOB_AFTER_MAX 64       /* jobs that one may wait for */
#define JOB_RETRIES_MAX 50
#define JOB_RETRY_CODES_MAX 4
#define JOB_RETRY_WAIT_MAX_MS (INT64_C(24) * 3600 * 1000)
#define JOB_GPU_WHOLE 1000 /* thousandths */
#define JOB_LABELS_MAX 16  /* node labels of one job */
#define JOB_WORD_MAX 128   /* bytes of a size's, GPU model's, label's or workspace's name */
#define JOB_LICENCES_MAX 4 /* kinds of one job */
#define JOB_LICENCE_NAME_MAX 64
#define JOB_LICENCE_AMOUNT_MAX 65535
#define JOB_FENCE_DEFAULT_MS (INT64_C(5) * 60 * 1000)
#define JOB_FENCE_MIN_MS (INT64_C(15) * 1000) /* a node speaks every 5 s */
#define JOB_FENCE_MAX_MS (INT64_C(7) * 24 * 3600 * 1000)
#define JOB_UMASK_DEFAULT 022
#define JOB_ERRORS_MAX 64 /* kept; later ones are counted only */

enum job_priority { JOB_PRIORITY_LOW, JOB_PRIORITY_MEDIUM, JOB_PRIORITY_HIGH };
enum job_runtime { JOB_RUNTIME_AUTO, JOB_RUNTIME_CRUN, JOB_RUNTIME_RUNC, JOB_RUNTIME_PROCESS };
enum job_image { JOB_IMAGE_HOST, JOB_IMAGE_FOLDER };
enum job_after_kind { JOB_AFTER_START, JOB_AFTER_SUCCESS, JOB_AFTER_FAILURE, JOB_AFTER_END };
enum job_input { JOB_INPUT_LITERAL, JOB_INPUT_FILE, JOB_INPUT_FOLDER, JOB_INPUT_JOB };

#define JOB_INPUT_OF_JOB "azureml:jobs/" /* the path of an input that is the outputs of a job: its name */

/* What becomes of a task whose node is silent. */
enum job_loss {
    JOB_LOSS_DEFAULT, /* the scheduler's: by the number of nodes */
    JOB_LOSS_WAIT,
    JOB_LOSS_REQUEUE
};

struct job_pair {
    char *name, *value; /* value may be "" but not NULL */
};

struct job_pairs {
    struct job_pair *items; /* in the order of the file */
    size_t count;
};

struct job_mount {
    char *source, *target; /* absolute */
    bool writable;
};

struct job_input_item {
    char *name; /* first: suggest_nearest strides over it */
    enum job_input kind;
    char
        *value; /* the literal's text, the absolute path on the submitter's machine, or the name of the job */
};

/* Another job that this one waits for. */
struct job_after {
    char *job; /* its name, or its id in digits */
    enum job_after_kind kind;
};

/* When a failed attempt is followed by another one. */
struct job_retry {
    int64_t count;                      /* attempts beyond the first; 0: none */
    uint32_t kinds;                     /* bit n: enum end_kind n */
    int32_t codes[JOB_RETRY_CODES_MAX]; /* with END_EXIT only these; all 0: any */
    int64_t wait_ms;                    /* before the second attempt; doubles with each */
    bool fresh_outputs;                 /* no attempt gets what the one before left in ./outputs */
};

/* So many of a licence, for the whole job while it runs. */
struct job_licence {
    char *name;
    int64_t amount;
};

struct job_strings {
    char **items; /* items[count] is NULL: ready for execve */
    size_t count;
};

/* Owned as one by whoever got it from job_spec_parse. A text that is absent is NULL, an amount that is absent
 * has the value said. */
struct job_spec {
    char *name; /* NULL: the scheduler makes one */
    char *display_name, *experiment_name, *description;
    struct job_pairs tags;
    char *command;           /* for /bin/sh -c; NULL where argv is given */
    struct job_strings argv; /* count 0 where command is given */
    enum job_image image_kind;
    char *image; /* "host", or the absolute path of a root filesystem folder */
    enum job_runtime runtime;
    struct job_pairs environment;   /* environment_variables */
    struct job_strings compute;     /* at least one; "local" or "any" in this version */
    int64_t cpus;                   /* logical CPUs; 0: default */
    int64_t memory_bytes;           /* 0: default */
    int64_t gpu_milli;              /* thousandths: whole GPUs, or 1..999 for a share of one; -1: default */
    int64_t gpu_memory_bytes;       /* 0: any. Of each GPU; alone: a share that has so much */
    int64_t instance_count;         /* 1 */
    int64_t processes_per_instance; /* 1 */
    bool exclusive, isolated;
    bool distributed; /* `distribution` was given: its tasks get PyTorch's environment */
    bool preemptible; /* job_tier: spot */
    bool held;
    int64_t begin_ms;       /* since 1970; 0: none */
    int64_t begin_after_ms; /* from the submit on; 0: none */
    char *continues;        /* name or id of the job whose changes and outputs it starts from; NULL */
    char *reservation;      /* it runs inside this one alone; NULL: anywhere */
    struct job_after *after;
    size_t after_count;
    struct job_retry retry;
    int64_t shm_size_bytes; /* 0: half the memory */
    int64_t time_limit_ms;  /* 0: none */
    int64_t grace_ms;
    int64_t log_limit_bytes; /* 0: none */
    enum job_priority priority;
    struct job_mount *mounts;
    size_t mount_count;
    struct job_input_item *inputs;
    size_t input_count;
    bool wants_stdin, wants_tty, split_streams;
    bool read_only; /* `host`: the machine can't be changed, but for the working directory and mounts */
    bool live;      /* asks for live_path: the CLI's */
    struct job_licence licences[JOB_LICENCES_MAX];
    size_t licence_count;
    enum job_loss on_node_loss;
    int64_t warning_before_ms; /* ahead of the time limit; 0: no warning */
    int warning_signal;        /* 0: SIGUSR1 */
    int64_t fence_after_ms;    /* without contact its node ends a task; 0: JOB_FENCE_DEFAULT_MS */

    char *size;                     /* instance_type; NULL: none */
    char *gpu_model;                /* NULL: any */
    struct job_strings node_labels; /* that its nodes must have, each once */
    char *workspace;                /* NULL: the default one */

    /* what only the CLI writes: `submission` */
    char *cwd;           /* absolute, NULL where there is none */
    char *live_path;     /* absolute directory that it runs in itself; NULL: none. There is no code then */
    char *code_path;     /* absolute folder that the snapshot was taken of; NULL: no code */
    char *code_manifest; /* SHA-256, hex */
    struct job_strings privates;     /* ignored directories whose files the job gets as its own: the CLI's */
    struct job_strings left_out;     /* paths relative to code_path, as the ignore files left them out */
    char *ignore_above;              /* code_path below the top that ignore_rules start from; NULL: it */
    struct job_strings ignore_rules; /* one ignore file each: its directory, a newline, its text */
    struct job_pairs submit_environment; /* of the submitting shell, for `host` */
    int64_t term_rows, term_columns;
    char *term;
    int64_t umask; /* the submitting shell's, for `host`; JOB_UMASK_DEFAULT where not given */

    struct array_indices array; /* count 0: it is none */
};

struct job_spec_problem {
    char *field, *message;
    bool unsupported; /* a field of the service that is not honoured yet */
};

/* All that is wrong with one file. Zero it first; job_spec_problems_finish gives it back. */
struct job_spec_problems {
    struct job_spec_problem items[JOB_ERRORS_MAX];
    size_t count, total;
};

/*
 * Parses a job file. NULL where anything is wrong: `problems` (may be NULL) then lists everything found, and
 * `err` is the first with, where there are several, all of them in its message (one refusal). The caller
 * destroys the result.
 */
struct job_spec *job_spec_parse(const cJSON *file, struct job_spec_problems *problems, struct error *err);
/* A file that a scheduler accepted, perhaps an older one's: what only a submit is refused for (placeholders
 * that name nothing, the size of the whole) is no reason to end a task that may run. */
struct job_spec *job_spec_parse_accepted(const cJSON *file, struct error *err);
void job_spec_destroy(struct job_spec *spec); /* takes NULL */
void job_spec_problems_finish(struct job_spec_problems *problems);

/* ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$ and not digits alone (those are ids). */
bool job_name_valid(const char *name, struct error *err);
/* Reads "SRC[:DST][:rw|:ro]" into an absolute mount; paths must be absolute. The caller frees the two
 * strings. */
bool job_mount_parse(const char *text, struct job_mount *mount, struct error *err);
const char *job_priority_name(enum job_priority p);
const char *job_runtime_name(enum job_runtime r);

#endif
