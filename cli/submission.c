/* Job files made ready to be sent. */
#include "cli/submission.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/fault.h"
#include "cli/progress.h"
#include "cli/shell_environment.h"
#include "proto/jobspec.h"
#include "proto/suggest.h"

#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define KEY_BYTES 16       /* of a submission's key, before they are hex */
#define RETRY_FOR_MS 15000 /* a scheduler that died is started again in that time */
#define RETRY_FIRST_MS 100 /* doubles */
#define RETRY_MAX_MS 2000

/* "a/./b/../c" under `folder`, by text: links are the machine's business. The caller frees. */
static char *clean_path(const char *folder, const char *path)
{
    _cleanup_free_ char *joined = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", folder, path);
    char *out = xmalloc(strlen(joined) + 2), *end = out;
    for (const char *p = joined; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            while (end > out && *--end != '/')
                ;
        } else if (n && !(n == 1 && p[0] == '.')) {
            *end++ = '/';
            memcpy(end, p, n);
            end += n;
        }
        p += n;
        p += *p == '/';
    }
    if (end == out)
        *end++ = '/';
    *end = '\0';
    return out;
}

static bool is_relative_path(const char *text)
{
    return strcmp(text, ".") == 0 || strcmp(text, "..") == 0 || strncmp(text, "./", 2) == 0 ||
           strncmp(text, "../", 3) == 0;
}

static void make_absolute(const struct submission *s, cJSON *object, const char *field, bool plain_too)
{
    const char *text = json_str(object, field, NULL);
    if (!text || !*text || text[0] == '/' || (!plain_too && !is_relative_path(text)))
        return;
    _cleanup_free_ char *path = clean_path(s->folder, text);
    cJSON_ReplaceItemInObjectCaseSensitive(object, field, cJSON_CreateString(path));
}

/* "SRC[:DST][:rw]": SRC is relative to the file, or a path in the home folder. */
static void absolute_mounts(const struct submission *s)
{
    cJSON *mounts = cJSON_GetObjectItemCaseSensitive(s->file, "mounts"), *item;
    for (item = cJSON_IsArray(mounts) ? mounts->child : NULL; item;) {
        cJSON *next = item->next;
        if (cJSON_IsObject(item)) {
            make_absolute(s, item, "source", true);
        } else if (cJSON_IsString(item) && item->valuestring[0] && item->valuestring[0] != '/') {
            size_t n = strcspn(item->valuestring, ":");
            _cleanup_free_ char *source = xstrndup(item->valuestring, n);
            _cleanup_free_ char *path = clean_path(s->folder, source);
            _cleanup_free_ char *text = xasprintf("%s%s", path, item->valuestring + n);
            cJSON_ReplaceItemViaPointer(mounts, item, cJSON_CreateString(text));
        }
        item = next;
    }
}

static void absolute_paths(const struct submission *s)
{
    cJSON *environment = cJSON_GetObjectItemCaseSensitive(s->file, "environment"), *input;
    if (cJSON_IsString(environment))
        make_absolute(s, s->file, "environment", false);
    else if (cJSON_IsObject(environment))
        make_absolute(s, environment, "image", false);
    const char *code = json_str(s->file, "code", NULL);
    if (code && strncmp(code, "azureml:", 8) != 0 && !strstr(code, "://"))
        make_absolute(s, s->file, "code", true);
    cJSON_ArrayForEach(input, json_get(s->file, "inputs"))
    {
        const char *path = cJSON_IsObject(input) ? json_str(input, "path", NULL) : NULL;
        if (path && strncmp(path, "azureml:", 8) != 0 && !strstr(path, "://"))
            make_absolute(s, input, "path", true);
    }
    absolute_mounts(s);
}

static char *working_folder(struct error *err)
{
    char *cwd = getcwd(NULL, 0);
    if (!cwd)
        error_errno(err, errno, "can't tell the working folder");
    return cwd;
}

/* Whether a text of the file holds ${{inputs.NAME}}: it then wants that input, declared or not. */
static bool file_wants(const cJSON *item, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = cJSON_IsString(item) ? item->valuestring : NULL; p && (p = strstr(p, "inputs."));) {
        p += strlen("inputs.");
        if (strncmp(p, name, n) == 0 && (p[n] == '}' || p[n] == ' '))
            return true;
    }
    const cJSON *child;
    cJSON_ArrayForEach(child, item) if (file_wants(child, name)) return true;
    return false;
}

/* A value for an input that the file does not have would be lost silently. */
static bool check_inputs(const struct opt_list *given, struct submission *s, struct error *err)
{
    const cJSON *inputs = json_get(s->file, "inputs"), *input;
    size_t count = 0;
    _cleanup_free_ const char **names = xcalloc((size_t)cJSON_GetArraySize(inputs) + 1, sizeof *names);
    cJSON_ArrayForEach(input, inputs) if (input->string) names[count++] = input->string;
    for (size_t i = 0; i < given->count; i++) {
        const char *text = given->items[i];
        _cleanup_free_ char *name = xstrndup(text, strcspn(text, "="));
        if (!*name || json_get(inputs, name) || file_wants(s->file, name))
            continue;
        const char *near = suggest_nearest(name, names, count, sizeof *names);
        s->bad_option = true;
        error_set(err, ERROR_INVALID, "--input %s: no such input \"%s\" in %s%s%s%s", text, name,
                  s->source_name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
        return error_hint(err, "declare it under inputs: in %s", s->source_name);
    }
    return true;
}

bool submission_from_file(const char *path, const struct job_options *options, struct submission *s,
                          struct error *err)
{
    *s = (struct submission){0};
    s->source = yaml_read(path, err);
    if (!s->source)
        return false;
    s->source_name = xstrdup(strcmp(path, "-") == 0 ? "standard input" : path);
    s->file = yaml_take_json(s->source);
    char real[PATH_MAX];
    if (strcmp(path, "-") == 0 || !realpath(path, real)) {
        s->folder = working_folder(err);
    } else {
        char *slash = strrchr(real, '/');
        s->folder = slash == real ? xstrdup("/") : xstrndup(real, (size_t)(slash - real));
    }
    if (!s->folder)
        return false;
    if (!cJSON_IsObject(s->file))
        return true; /* the check tells */
    absolute_paths(s);
    free(s->folder); /* what the options say is relative to where they were typed */
    s->folder = working_folder(err);
    if (!s->folder || !check_inputs(&options->inputs, s, err) || !job_options_apply(options, s->file, err))
        return false;
    absolute_paths(s);
    return true;
}

bool submission_from_command(int argc, char **argv, const struct job_options *options, struct submission *s,
                             struct error *err)
{
    *s = (struct submission){0};
    s->folder = working_folder(err);
    s->file = cJSON_CreateObject();
    if (!s->folder)
        return false;
    job_options_command(s->file, argc, argv);
    if (!job_options_apply(options, s->file, err))
        return false;
    if (!options->no_code && !options->code && !options->live) {
        cJSON_AddStringToObject(s->file, "code", s->folder);
        s->code_is_default = true;
    }
    absolute_paths(s);
    return true;
}

void submission_finish(struct submission *s)
{
    cJSON_Delete(s->file);
    yaml_free(s->source);
    free(s->source_name);
    free(s->folder);
    code_snapshot_finish(&s->code);
    *s = (struct submission){0};
}

/* ---- submission ---- */

/* A name for people: what can't stand in one becomes "_". */
static void add_experiment(cJSON *file, const char *folder)
{
    _cleanup_free_ char *name = xstrdup(folder);
    for (char *p = name; *p;) {
        size_t n = text_utf8_length(p, strlen(p));
        if (!n || (unsigned char)*p < ' ' || *p == 0x7f)
            *p = '_';
        p += n ? n : 1;
    }
    json_add_str(file, "experiment_name", name);
}

static void add_git(cJSON *to, const struct code_snapshot *code)
{
    if (!code->git.commit)
        return;
    cJSON *git = cJSON_AddObjectToObject(to, "git");
    json_add_str(git, "commit", code->git.commit);
    bool fits = code->git.remote && strlen(code->git.remote) <= JOB_REMOTE_MAX;
    json_add_str(git, "remote", fits ? code->git.remote : NULL);
    char sha[SNAPSHOT_SHA_MAX];
    if (code->git.diff.len)
        code_snapshot_sha(code->git.diff.data, code->git.diff.len, sha);
    json_add_str(git, "dirty", code->git.diff.len ? sha : NULL);
}

static void add_code(cJSON *submission, const struct code_snapshot *code)
{
    cJSON *c = cJSON_AddObjectToObject(submission, "code");
    json_add_bytes(c, "path", code->path);
    json_add_str(c, "manifest", code->manifest_sha);
    json_add_int(c, "files", code->files);
    json_add_int(c, "bytes", code->bytes);
    cJSON *left = cJSON_AddArrayToObject(c, "left_out");
    for (size_t i = 0; i < code->left_out_count; i++)
        cJSON_AddItemToArray(left, cJSON_CreateString(code->left_out[i]));
    if (code->ignore_count) {
        cJSON *ignore = cJSON_AddObjectToObject(c, "ignore");
        json_add_bytes(ignore, "above", code->ignore_above);
        cJSON *rules = cJSON_AddArrayToObject(ignore, "rules");
        for (size_t i = 0; i < code->ignore_count; i++)
            cJSON_AddItemToArray(rules, cJSON_CreateString(code->ignore[i]));
    }
    add_git(c, code);
}

static void add_live(cJSON *submission, const struct code_snapshot *code)
{
    cJSON *live = cJSON_AddObjectToObject(submission, "live");
    json_add_bytes(live, "path", code->path);
    add_git(live, code);
}

static void add_terminal(cJSON *submission)
{
    struct winsize size = {0};
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0)
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    cJSON *term = cJSON_AddObjectToObject(submission, "term");
    json_add_int(term, "rows", size.ws_row);
    json_add_int(term, "cols", size.ws_col);
    const char *name = getenv("TERM");
    json_add_str(term, "TERM", name && *name ? name : "xterm");
}

int submission_prepare(struct submission *s, const struct job_options *options)
{
    s->request = options->request;
    struct error err = {0};
    cJSON *submission = cJSON_CreateObject();
    const char *code = json_str(s->file, "code", NULL);
    if (json_bool(s->file, "live", false)) {
        if (!code_snapshot_take_live(code ? code : s->folder, &s->code, &err)) {
            cJSON_Delete(submission);
            cli_fail(&err);
            return EXIT_REFUSED;
        }
        s->has_code = true;
        add_live(submission, &s->code);
    } else if (code) {
        struct progress progress;
        progress_begin(&progress);
        bool taken = code_snapshot_take(code, json_get(s->file, "private"), s->code_is_default, progress_show,
                                        &progress, &s->code, &err);
        progress_end(&progress);
        if (!taken) {
            cJSON_Delete(submission);
            cli_fail(&err);
            return err.code == ERROR_LIMIT ? EXIT_USAGE : EXIT_REFUSED;
        }
        s->has_code = true;
        add_code(submission, &s->code);
    }
    /* A job file's working folder is the snapshot, as the service has it, or an empty one; a command's is
     * where it was typed. */
    if (!s->source)
        json_add_bytes(submission, "cwd", s->folder);
    else if (s->has_code)
        json_add_bytes(submission, "cwd", s->code.path);
    cJSON *shell = shell_environment_object(s->file, options->env_all);
    if (shell)
        cJSON_AddItemToObject(submission, "environment", shell);
    if (options->tty || json_bool(s->file, "tty", false))
        add_terminal(submission);
    struct utsname name;
    if (uname(&name) == 0)
        json_add_str(submission, "hostname", name.nodename);
    json_add_str(submission, "client", "berth " BERTH_VERSION);
    mode_t mask = umask(0);
    umask(mask);
    json_add_int(submission, "umask", mask & 0777);
    cJSON_DeleteItemFromObjectCaseSensitive(s->file, "submission");
    cJSON_AddItemToObject(s->file, "submission", submission);
    if (!json_get(s->file, "experiment_name")) {
        const char *folder = s->has_code ? s->code.path : s->folder, *slash = strrchr(folder, '/');
        if (slash && slash[1])
            add_experiment(s->file, slash + 1);
    }
    return submission_check(s); /* the environment has its limits too */
}

int submission_upload(struct submission *s, struct client *client)
{
    if (!s->has_code)
        return EXIT_OK;
    struct error err = {0};
    struct progress progress;
    progress_begin(&progress);
    bool sent = code_snapshot_upload(&s->code, client, progress_show, &progress, NULL, &err);
    progress_end(&progress);
    if (!sent)
        return cli_fail(&err);
    if (s->code.live)
        return EXIT_OK;
    /* files that changed meanwhile have made another manifest */
    cJSON *code =
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(s->file, "submission"), "code");
    cJSON_ReplaceItemInObjectCaseSensitive(code, "manifest", cJSON_CreateString(s->code.manifest_sha));
    cJSON_ReplaceItemInObjectCaseSensitive(code, "files", json_int_item(s->code.files));
    cJSON_ReplaceItemInObjectCaseSensitive(code, "bytes", json_int_item(s->code.bytes));
    return EXIT_OK;
}

/* A key of the submission's own. */
static char *make_key(void)
{
    unsigned char bytes[KEY_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return NULL;
    struct buf key = {0};
    for (size_t i = 0; i < sizeof bytes; i++)
        buf_printf(&key, "%02x", bytes[i]);
    return buf_take(&key);
}

/* A connection that broke may have carried the submission: by its key it is asked again, and makes no second
 * job. */
static cJSON *post_until_answered(struct client *client, const char *path, const cJSON *file, bool *broke,
                                  struct error *err)
{
    int64_t pause_ms = RETRY_FIRST_MS, until_ms = clock_boot_ms() + RETRY_FOR_MS;
    cJSON *job = client_call(client, "POST", path, file, 0, err);
    if (job || !client->broke)
        return job;
    *broke = true;
    cli_note("the connection broke before the answer came: asking again");
    while (!job && client->unanswered && clock_boot_ms() < until_ms) {
        poll(NULL, 0, (int)pause_ms);
        pause_ms = pause_ms * 2 < RETRY_MAX_MS ? pause_ms * 2 : RETRY_MAX_MS;
        *err = (struct error){0};
        job = client_call(client, "POST", path, file, 0, err);
    }
    return job;
}

cJSON *submission_post(struct submission *s, struct client *client, int *exit_code)
{
    struct error err = {0};
    bool broke = false;
    FAULT("cli.before_submit");
    _cleanup_free_ char *key = s->request ? xstrdup(s->request) : make_key();
    _cleanup_free_ char *escaped = key ? http_easy_escape(key) : NULL;
    _cleanup_free_ char *path = xasprintf("/v1/jobs%s%s", key ? "?request=" : "", key ? escaped : "");
    cJSON *job = key ? post_until_answered(client, path, s->file, &broke, &err)
                     : client_call(client, "POST", path, s->file, 0, &err);
    FAULT("cli.after_submit");
    if (!job && broke)
        error_hint(&err, "the job may have been accepted: the same with --request %s gives it, or submits it",
                   key);
    *exit_code = job ? EXIT_OK : cli_fail(&err);
    return job;
}
