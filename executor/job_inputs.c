/* The stored trees are out of every user's reach, so nothing in them changes while they are walked. */
#include "executor/job_inputs.h"

#include "base/cleanup.h"
#include "executor/beneath.h"
#include "executor/outputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *job_inputs_path(const struct order *order, const char *input)
{
    for (size_t i = 0; i < order->job_inputs.count; i++)
        if (strcmp(order->job_inputs.items[i].name, input) == 0)
            return order->job_inputs.items[i].value;
    return NULL;
}

/* A file that has a second name may have it elsewhere: it was the user's own when it was collected. */
static bool give_entry(int dir, const char *name, const struct stat *st, uid_t uid, gid_t gid)
{
    return st->st_uid == uid || (!S_ISDIR(st->st_mode) && st->st_nlink > 1) ||
           fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Takes fd. false with errno set. */
static bool give_tree(int fd, uid_t uid, gid_t gid, int depth)
{
    struct stat st;
    _cleanup_dir_ DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return false;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !give_entry(fd, e->d_name, &st, uid, gid))
            return false;
        if (!S_ISDIR(st.st_mode) || depth == OUTPUTS_DEPTH_MAX)
            continue;
        int below = beneath_openat(fd, e->d_name, O_RDONLY | O_DIRECTORY, 0, true);
        if (below < 0 || !give_tree(below, uid, gid, depth + 1))
            return false;
    }
    return true;
}

static bool open_one(const struct job_input_item *input, const char *path, uid_t uid, gid_t gid,
                     struct error *err)
{
    int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    char field[ERROR_FIELD_MAX];
    snprintf(field, sizeof field, "inputs.%s", input->name);
    if (fd < 0 && (!path || errno == ENOENT))
        return error_field(err, field, "job %s has left no outputs", input->value);
    bool ok = fd >= 0 && (geteuid() != 0 || fchown(fd, uid, gid) == 0);
    if (ok && geteuid() == 0)
        ok = give_tree(fcntl(fd, F_DUPFD_CLOEXEC, 0), uid, gid, 0);
    if (!ok)
        error_errno(err, errno, "can't open the outputs of job %s", input->value);
    if (fd >= 0)
        close(fd);
    return ok;
}

bool job_inputs_open(const struct order *order, uid_t uid, gid_t gid, struct error *err)
{
    for (size_t i = 0; i < order->spec->input_count; i++) {
        const struct job_input_item *input = &order->spec->inputs[i];
        if (input->kind == JOB_INPUT_JOB &&
            !open_one(input, job_inputs_path(order, input->name), uid, gid, err))
            return false;
    }
    return true;
}
