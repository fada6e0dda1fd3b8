/* From a job file, or a command line, to a job that the scheduler has on disk. */
#ifndef BERTH_CLI_SUBMISSION_H
#define BERTH_CLI_SUBMISSION_H

#include "cli/client.h"
#include "cli/job_options.h"
#include "cli/snapshot.h"
#include "cli/yaml.h"

struct submission {
    const char *request;      /* the key that it is posted with; borrowed; NULL: none */
    cJSON *file;              /* what is sent */
    struct yaml_file *source; /* of a job file, for positions; NULL */
    char *source_name;
    char *folder;    /* absolute: what relative paths in the file are relative to */
    bool bad_option; /* an option, not the file, is why it was refused */
    bool has_code;
    bool code_is_default; /* the current folder, not asked for by name: the default limits hold */
    struct code_snapshot code;
};

/* Reads `path`, applies the options over it, makes relative paths absolute. */
bool submission_from_file(const char *path, const struct job_options *options, struct submission *out,
                          struct error *err);
/* `run -- argv`. */
bool submission_from_command(int argc, char **argv, const struct job_options *options, struct submission *out,
                             struct error *err);
void submission_finish(struct submission *s);

/* Checks everything that can be checked without a Berth; tells all problems on standard error itself, with
 * file and line. Returns 0 or the exit code. */
int submission_check(struct submission *s);
/* Refuses what has no log of its own that could be followed. Returns 0 or the exit code. */
int submission_check_follow(const struct submission *s);
/* Takes the snapshot and fills in `submission`. Tells what is wrong itself; returns 0 or the exit code. */
int submission_prepare(struct submission *s, const struct job_options *options);
/* Sends what the scheduler lacks of the code. Tells what is wrong itself; returns 0 or the exit code. */
int submission_upload(struct submission *s, struct client *client);
/* Posts it. The job object (caller deletes), or NULL after telling what is wrong; *exit_code is then set. */
cJSON *submission_post(struct submission *s, struct client *client, int *exit_code);
/* The lines that say what was fixed at submit: the job's resources, the code that was copied and left out. */
void submission_tell(const struct submission *s, const cJSON *job);

#define _cleanup_submission_ __attribute__((cleanup(submission_finish)))

#endif
