/* Inside of proto/jobspec: the walk over tables of fields, and the checks of single values. Not for other
 * folders. */
#ifndef BERTH_PROTO_JOBSPEC_CHECK_H
#define BERTH_PROTO_JOBSPEC_CHECK_H

#include "proto/excerpt.h"
#include "proto/jobspec.h"

#define SPEC_FIELD_PATH_MAX 256
#define SPEC_NAME_SHOWN 120 /* bytes of a name in a path that are shown whole */

struct spec_reader {
    struct job_spec *spec;
    struct job_spec_problems *problems;
    const cJSON *file;
    bool accepted; /* the file of a launch: job_spec_parse_accepted */
};

struct spec_field {
    const char *name; /* first: suggest_nearest strides over it */
    /* Reads the value (never null) into the spec. NULL: a field of the service that is not honoured yet. */
    void (*read)(struct spec_reader *r, const cJSON *value, const char *path);
};

/* Notes a problem of the field at `path`. */
void spec_problem(struct spec_reader *r, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void spec_not_honoured(struct spec_reader *r, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Reads every member of an object by the table; unknown, doubled and not honoured ones become problems. null
 * values count as absent. */
void spec_read_object(struct spec_reader *r, const cJSON *object, const char *path,
                      const struct spec_field *fields, size_t count);

/* Values. Each notes a problem and leaves *out alone where the value is wrong. */
void spec_text(struct spec_reader *r, const cJSON *value, const char *path, size_t max, bool one_line,
               char **out);
void spec_int(struct spec_reader *r, const cJSON *value, const char *path, int64_t min, int64_t max,
              int64_t *out);
void spec_bool(struct spec_reader *r, const cJSON *value, const char *path, bool *out);
void spec_bytes(struct spec_reader *r, const cJSON *value, const char *path, int64_t min, int64_t max,
                int64_t *out);
void spec_path(struct spec_reader *r, const cJSON *value, const char *path,
               char **out); /* absolute; of any bytes, as the filesystem has it */
void spec_strings(struct spec_reader *r, const cJSON *value, const char *path, size_t max_count,
                  size_t max_len, struct job_strings *out);
/* An object of NAME: scalar. Numbers and booleans become their text, as the service takes them. */
void spec_pairs(struct spec_reader *r, const cJSON *value, const char *path, size_t max_count, size_t max_len,
                struct job_pairs *out);
/* Names and sizes of environment variables; `used` counts the bytes of all of them together. */
void spec_check_environment(struct spec_reader *r, const struct job_pairs *pairs, const char *path,
                            size_t *used);
/* Check only: a note that changes nothing about the run. */
void spec_note(struct spec_reader *r, const cJSON *value, const char *path, size_t max);
void spec_digest(struct spec_reader *r, const cJSON *value, const char *path, char **out); /* SHA-256, hex */
/* The whole file against JOB_FILE_MAX_BYTES, as it travels in a launch. */
void spec_check_size(struct spec_reader *r, const cJSON *file);
/* The larger fields, each in a file of its own. */
void spec_read_mounts(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_inputs(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_submission(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_distribution(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_job_tier(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_gpus(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_hold(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_begin(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_live(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_private(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_continue(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_reservation(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_after(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_retry(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_size(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_gpu_model(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_node_labels(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_workspace(struct spec_reader *r, const cJSON *v, const char *path);
/* Size, model, labels beside the other amounts. */
void spec_check_hardware(struct spec_reader *r);
void spec_free_hardware(struct job_spec *s);
void spec_read_array(struct spec_reader *r, const cJSON *v, const char *path); /* jobspec_array.c */
/* What an array can't have beside it. */
void spec_check_array(struct spec_reader *r);
void spec_read_licences(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_on_node_loss(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_fence_after(struct spec_reader *r, const cJSON *v, const char *path);
void spec_read_warning(struct spec_reader *r, const cJSON *v, const char *path);
/* What those fields say together. */
void spec_check_life(struct spec_reader *r);
/* Reads one of `count` words into *out; a problem where it is none of them. */
void spec_word(struct spec_reader *r, const cJSON *value, const char *path, const char *const *words,
               size_t count, int *out);
/* A number of seconds, or a duration such as 1m30s. */
void spec_duration(struct spec_reader *r, const cJSON *value, const char *path, int64_t max_ms,
                   int64_t *out_ms);
/* Text of a scalar (caller frees), or NULL where it is none. */
char *spec_scalar_text(const cJSON *value);
const char *spec_type_name(const cJSON *value);
/* A value in a message: its text, or its type; of scalars any as text. */
struct excerpt spec_shown(const cJSON *value);
struct excerpt spec_shown_scalar(const cJSON *value);
/* PATH.NAME into `out`, of SPEC_FIELD_PATH_MAX bytes. */
void spec_join(char *out, const char *path, const char *name);
/* Every placeholder must name something that the job has, where placeholders are replaced; elsewhere there
 * must be none. What was refused itself is not missed. */
void spec_check_bindings(struct spec_reader *r);

#endif
