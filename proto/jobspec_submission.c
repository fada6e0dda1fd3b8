/* What only the CLI writes: where and from what the job was submitted. */
#include "proto/jobspec_check.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/suggest.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void read_cwd(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_path(r, v, path, &r->spec->cwd);
}

static void read_code_path(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_path(r, v, path, &r->spec->code_path);
}

static void read_manifest(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_digest(r, v, path, &r->spec->code_manifest);
}

static bool lies_inside(const char *path)
{
    bool bad = !*path || *path == '/';
    for (const char *part = path; part && !bad; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
        bad = strcmp(part, "..") == 0 || strncmp(part, "../", 3) == 0;
    return !bad;
}

static void read_left_out(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_strings(r, v, path, JOB_LEFT_OUT_MAX, JOB_PATH_MAX, &r->spec->left_out);
    for (size_t i = 0; i < r->spec->left_out.count; i++) {
        const char *p = r->spec->left_out.items[i];
        if (!lies_inside(p))
            spec_problem(r, path, "item %zu (\"%s\") must be a path inside the code folder", i + 1,
                         EXCERPT(p));
    }
}

static void read_ignore_above(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_text(r, v, path, JOB_PATH_MAX, false, &r->spec->ignore_above);
    if (r->spec->ignore_above && *r->spec->ignore_above && !lies_inside(r->spec->ignore_above))
        spec_problem(r, path, "must be a path inside the repository");
}

static void read_ignore_rules(struct spec_reader *r, const cJSON *v, const char *path)
{
    size_t bytes = 0;
    spec_strings(r, v, path, JOB_IGNORE_FILES_MAX, JOB_IGNORE_MAX_BYTES, &r->spec->ignore_rules);
    for (size_t i = 0; i < r->spec->ignore_rules.count; i++)
        bytes += strlen(r->spec->ignore_rules.items[i]);
    if (bytes > JOB_IGNORE_MAX_BYTES)
        spec_problem(r, path, "is longer than %d bytes together", JOB_IGNORE_MAX_BYTES);
}

static const struct spec_field ignore_fields[] = {{"above", read_ignore_above}, {"rules", read_ignore_rules}};

static void read_ignore(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_read_object(r, v, path, ignore_fields, COUNT(ignore_fields));
}

/* What the snapshot counted, for people. */
static void check_count(struct spec_reader *r, const cJSON *v, const char *path)
{
    int64_t ignored = 0;
    spec_int(r, v, path, 0, INT64_MAX, &ignored);
}

static void check_commit(struct spec_reader *r, const cJSON *v, const char *path)
{
    size_t n = cJSON_IsString(v) ? strlen(v->valuestring) : 0; /* SHA-1 or SHA-256 */
    if ((n != 40 && n != 64) || strspn(v->valuestring, "0123456789abcdef") != n)
        spec_problem(r, path, "must be a commit in 40 or 64 lower-case hexadecimal digits");
}

static void check_remote(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_note(r, v, path, JOB_REMOTE_MAX);
}

static void check_dirty(struct spec_reader *r, const cJSON *v, const char *path)
{
    _cleanup_free_ char *ignored = NULL;
    spec_digest(r, v, path, &ignored);
}

static const struct spec_field git_fields[] = {
    {"commit", check_commit}, {"remote", check_remote}, {"dirty", check_dirty}};

static void check_git(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_read_object(r, v, path, git_fields, COUNT(git_fields));
}

static const struct spec_field code_fields[] = {
    {"path", read_code_path}, {"manifest", read_manifest}, {"left_out", read_left_out},
    {"files", check_count},   {"bytes", check_count},      {"git", check_git},
    {"ignore", read_ignore},
};

static void read_submission_code(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_read_object(r, v, path, code_fields, COUNT(code_fields));
    if (!r->spec->code_path != !r->spec->code_manifest)
        spec_problem(r, path, "needs both path and manifest");
}

static void read_live_path(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_path(r, v, path, &r->spec->live_path);
}

static const struct spec_field live_fields[] = {{"path", read_live_path}, {"git", check_git}};

static void read_submission_live(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_read_object(r, v, path, live_fields, COUNT(live_fields));
    if (!r->spec->live_path)
        spec_problem(r, path, "needs a path");
}

void spec_read_live(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_bool(r, v, path, &r->spec->live);
}

static void read_submit_environment(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_pairs(r, v, path, JOB_VARIABLES_MAX, JOB_VARIABLE_MAX_BYTES, &r->spec->submit_environment);
}

static void read_rows(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_int(r, v, path, 0, 65535, &r->spec->term_rows);
}

static void read_columns(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_int(r, v, path, 0, 65535, &r->spec->term_columns);
}

static void read_term_name(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_text(r, v, path, 128, true, &r->spec->term);
}

static const struct spec_field term_fields[] = {
    {"rows", read_rows}, {"cols", read_columns}, {"TERM", read_term_name}};

static void read_term(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_read_object(r, v, path, term_fields, COUNT(term_fields));
}

static void check_hostname(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_note(r, v, path, JOB_HOST_MAX);
}

static void check_client(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_note(r, v, path, JOB_CLIENT_MAX);
}

static void read_umask(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_int(r, v, path, 0, 0777, &r->spec->umask);
}

static const struct spec_field submission_fields[] = {
    {"cwd", read_cwd},     {"code", read_submission_code}, {"environment", read_submit_environment},
    {"term", read_term},   {"hostname", check_hostname},   {"client", check_client},
    {"umask", read_umask}, {"live", read_submission_live},
};

void spec_read_submission(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_read_object(r, v, path, submission_fields, COUNT(submission_fields));
}
