/* executor: collection of what a task leaves, from a tree that a user made as unpleasant as possible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/blob_cache.h"
#include "executor/outputs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

struct place {
    char folder[64], to[80];
    int root, work;
    struct outputs_report report;
};

static int set_up(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    strcpy(p->folder, "/tmp/berth-outputs-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->to, sizeof p->to, "%s/collected", p->folder);
    p->root = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(p->root, "task", 0700), 0);
    p->work = openat(p->root, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(p->work, "outputs", 0755), 0);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    close(p->root);
    close(p->work);
    outputs_report_finish(&p->report);
    fs_remove_tree(AT_FDCWD, p->folder, NULL);
    free(p);
    return 0;
}

static void write_file(struct place *p, const char *path, const char *text, mode_t mode)
{
    _cleanup_close_ int fd = openat(p->work, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_true(fs_write_all(fd, text, strlen(text)));
    assert_int_equal(fchmod(fd, mode), 0);
}

static void collect_with(struct place *p, struct outputs_request request)
{
    struct error err = {0};
    request.work_fd = p->work;
    request.to = p->to;
    if (!request.uid)
        request.uid = getuid();
    if (!request.work_max_bytes)
        request.work_max_bytes = OUTPUTS_WORK_MAX_BYTES;
    outputs_report_finish(&p->report);
    if (!outputs_collect(&request, &p->report, &err))
        fail_msg("%s", err.message);
}

static void collect(struct place *p)
{
    collect_with(p, (struct outputs_request){0});
}

/* The collected file's text, or NULL. The caller frees it. */
static char *collected(struct place *p, const char *path)
{
    char full[256];
    struct buf text = {0};
    snprintf(full, sizeof full, "%s/%s", p->to, path);
    if (!fs_read_file(AT_FDCWD, full, 1 << 20, &text, NULL)) {
        buf_finish(&text);
        return NULL;
    }
    return buf_take(&text);
}

#define assert_collected(p, path, text)                                                                      \
    do {                                                                                                     \
        _cleanup_free_ char *got_ = collected(p, path);                                                      \
        assert_non_null(got_);                                                                               \
        assert_string_equal(got_, text);                                                                     \
    } while (0)

static const char *why_skipped(struct place *p, const char *path)
{
    for (size_t i = 0; i < p->report.skipped_count; i++)
        if (strcmp(p->report.skipped[i].path, path) == 0)
            return p->report.skipped[i].why;
    return NULL;
}

static void outputs_are_kept_and_other_files_are_kept_apart(void **state)
{
    struct place *p = *state;
    assert_int_equal(mkdirat(p->work, "outputs/sub", 0755), 0);
    write_file(p, "outputs/model.pt", "weights", 0644);
    write_file(p, "outputs/sub/metrics.json", "{}", 0644);
    write_file(p, "scratch.txt", "notes", 0600);
    collect(p);
    assert_collected(p, "outputs/model.pt", "weights");
    assert_collected(p, "outputs/sub/metrics.json", "{}");
    assert_collected(p, "work/scratch.txt", "notes");
    assert_int_equal(p->report.files, 2);
    assert_int_equal(p->report.bytes, 9);
    assert_int_equal(p->report.work_files, 1);
    assert_int_equal(p->report.skipped_total, 0);
}

static void links_devices_sockets_and_pipes_are_named_and_left_behind(void **state)
{
    struct place *p = *state;
    assert_int_equal(symlinkat("/etc/passwd", p->work, "outputs/passwd"), 0);
    assert_int_equal(symlinkat("/etc", p->work, "outputs/etc"), 0);
    assert_int_equal(symlinkat("../nowhere", p->work, "outputs/out"), 0);
    assert_int_equal(mkfifoat(p->work, "outputs/pipe", 0600), 0);
    _cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s/task/outputs/sock", p->folder);
    assert_int_equal(bind(sock, (struct sockaddr *)&name, sizeof name), 0);
    bool device = mknodat(p->work, "outputs/null", S_IFCHR | 0666, makedev(1, 3)) == 0;
    collect(p);
    assert_non_null(strstr(why_skipped(p, "outputs/passwd"), "/etc/passwd"));
    assert_non_null(why_skipped(p, "outputs/etc"));
    assert_non_null(why_skipped(p, "outputs/out"));
    assert_string_equal(why_skipped(p, "outputs/pipe"), "a named pipe");
    assert_string_equal(why_skipped(p, "outputs/sock"), "a socket");
    if (device)
        assert_string_equal(why_skipped(p, "outputs/null"), "a device");
    assert_int_equal(p->report.files, 0);
}

static void assert_link(struct place *p, const char *path, const char *target)
{
    char full[256], got[64] = {0};
    snprintf(full, sizeof full, "%s/%s", p->to, path);
    assert_true(readlink(full, got, sizeof got - 1) > 0);
    assert_string_equal(got, target);
}

static void links_that_stay_inside_and_empty_directories_are_kept(void **state)
{
    struct place *p = *state;
    struct stat st;
    char path[128];
    const struct timespec times[2] = {{1000, 7}, {2000, 9}};
    for (int run = 0; run < 2; run++) { /* a second run after a kill finds all of it there */
        assert_int_equal(mkdirat(p->work, "outputs/step", 0755) != 0 && errno != EEXIST, 0);
        assert_int_equal(mkdirat(p->work, "outputs/empty", 0750) != 0 && errno != EEXIST, 0);
        assert_int_equal(mkdirat(p->work, "made", 0750) != 0 && errno != EEXIST, 0);
        write_file(p, "outputs/step/weights", "w", 0644);
        if (run == 0) {
            assert_int_equal(symlinkat("step/weights", p->work, "outputs/latest"), 0);
            assert_int_equal(symlinkat("../latest", p->work, "outputs/step/up"), 0);
            assert_int_equal(symlinkat("nowhere", p->work, "outputs/dangling"), 0);
            assert_int_equal(symlinkat("latest/../..", p->work, "outputs/through"), 0);
            assert_int_equal(symlinkat("made", p->work, "alias"), 0);
            assert_int_equal(utimensat(p->work, "outputs/latest", times, AT_SYMLINK_NOFOLLOW), 0);
        }
        collect(p);
        assert_link(p, "outputs/latest", "step/weights");
        assert_link(p, "outputs/step/up", "../latest");
        assert_link(p, "outputs/dangling", "nowhere");
        assert_link(p, "work/alias", "made");
        assert_non_null(why_skipped(p, "outputs/through"));
        assert_int_equal(p->report.skipped_total, 1);
    }
    snprintf(path, sizeof path, "%s/outputs/latest", p->to);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mtim.tv_sec, 2000);
    snprintf(path, sizeof path, "%s/outputs/empty", p->to);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0750);
    snprintf(path, sizeof path, "%s/work/made", p->to);
    assert_int_equal(stat(path, &st), 0);
}

static void replace_outputs(struct place *p, const char *target)
{
    assert_true(fs_remove_tree(p->work, "outputs", NULL));
    assert_int_equal(symlinkat(target, p->work, "outputs"), 0);
}

static void a_link_in_place_of_outputs_leads_to_a_directory_of_the_job_or_is_named(void **state)
{
    struct place *p = *state;
    static const char *const outside[] = {"/etc",    "../secrets", "results/../../secrets", ".", "file",
                                          "nowhere", "loop"};
    assert_int_equal(mkdirat(p->root, "secrets", 0755), 0);
    assert_int_equal(mkdirat(p->work, "results", 0755), 0);
    assert_int_equal(symlinkat("outputs", p->work, "loop"), 0);
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        replace_outputs(p, outside[i]);
        write_file(p, "file", "f", 0644);
        collect(p);
        assert_non_null(strstr(why_skipped(p, "outputs"), outside[i]));
        assert_int_equal(p->report.files, 0);
    }
    replace_outputs(p, "./results/");
    write_file(p, "results/model", "weights", 0644);
    collect(p);
    assert_collected(p, "outputs/model", "weights");
    assert_int_equal(p->report.skipped_total, 0);
}

static void a_link_in_place_of_outputs_keeps_what_it_leads_to_whatever_its_name(void **state)
{
    struct place *p = *state;
    static const char *const targets[][2] = {
        {"models", "models"},        {"zz", "zz"},          {"models/a", "models/a"}, {"ckpt", ".//ckpt/./"},
        {"own", "/task/place//own"}, {"zz/b", "zz/../zz/b"} /* the last one is named */};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        char file[64], at[64], kept[64];
        bool named = strstr(targets[i][1], "..") != NULL;
        mkdirat(p->work, "models", 0755);
        mkdirat(p->work, "zz", 0755);
        mkdirat(p->work, targets[i][0], 0755);
        replace_outputs(p, targets[i][1]);
        snprintf(file, sizeof file, "%s/best%zu.pt", targets[i][0], i);
        snprintf(kept, sizeof kept, "outputs/best%zu.pt", i);
        snprintf(at, sizeof at, "work/%s", file);
        write_file(p, file, "1", 0644);
        collect_with(p, (struct outputs_request){.work_path = "/task/place"});
        _cleanup_free_ char *apart = collected(p, at);
        assert_int_equal(apart != NULL, named);
        assert_int_equal(p->report.skipped_total, named);
        if (!named)
            assert_collected(p, kept, "1");
        assert_true(fs_remove_tree(p->work, "models", NULL));
        assert_true(fs_remove_tree(p->work, "zz", NULL));
    }
}

static void outputs_that_are_no_directory_any_more_are_named(void **state)
{
    struct place *p = *state;
    char data[] = "data/", *left_out[] = {data, NULL};
    assert_int_equal(renameat(p->work, "outputs", p->work, "o2"), 0);
    write_file(p, "o2/best.pt", "1", 0644);
    collect(p);
    assert_non_null(strstr(why_skipped(p, "outputs"), "removed or renamed"));
    assert_collected(p, "work/o2/best.pt", "1");
    write_file(p, "outputs", "2", 0644);
    collect(p);
    assert_non_null(strstr(why_skipped(p, "outputs"), "a regular file"));
    assert_collected(p, "work/outputs", "2");
    assert_int_equal(mkfifoat(p->work, "outputs", 0600), 0);
    collect(p);
    assert_string_equal(why_skipped(p, "outputs"), "a named pipe");
    assert_int_equal(p->report.skipped_total, 1);
    assert_int_equal(mkdirat(p->work, "data", 0755), 0);
    replace_outputs(p, "data/run");
    collect_with(p, (struct outputs_request){.left_out = left_out});
    assert_non_null(strstr(why_skipped(p, "outputs"), "left out of the snapshot"));
    replace_outputs(p, "./o2"); /* what is left out of it is known by its own path */
    char base[] = "o2/base.pt", *of_o2[] = {base, NULL};
    write_file(p, "o2/base.pt", "", 0644);
    write_file(p, "o2/new.pt", "n", 0644);
    collect_with(p, (struct outputs_request){.left_out = of_o2});
    assert_null(collected(p, "outputs/base.pt"));
    assert_collected(p, "outputs/new.pt", "n");
}

static void absolute_links_into_the_task_s_own_tree_become_relative(void **state)
{
    struct place *p = *state;
    assert_int_equal(mkdirat(p->work, "outputs/ck10", 0755), 0);
    assert_int_equal(mkdirat(p->work, "outputs/deep", 0755), 0);
    write_file(p, "outputs/ck10/w", "w", 0644);
    assert_int_equal(symlinkat("/task/place/outputs/ck10", p->work, "outputs/latest"), 0);
    assert_int_equal(symlinkat("/task/place/outputs//ck10/w", p->work, "outputs/deep/best"), 0);
    assert_int_equal(symlinkat("/task/place/outputs", p->work, "outputs/deep/top"), 0);
    assert_int_equal(symlinkat("/task/place/data/x", p->work, "x"), 0);
    static const char *const outside[] = {"/task/place/outputs2/f", "/task/place/data",
                                          "/task/place2/outputs/f", "/task/place/outputs/../f",
                                          "/task/place/outputs/../../../etc"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        char name[32];
        snprintf(name, sizeof name, "outputs/out%zu", i);
        assert_int_equal(symlinkat(outside[i], p->work, name), 0);
    }
    collect_with(p, (struct outputs_request){.work_path = "/task/place"});
    assert_link(p, "outputs/latest", "ck10");
    assert_link(p, "outputs/deep/best", "../ck10/w");
    assert_link(p, "outputs/deep/top", "../.");
    assert_link(p, "work/x", "data/x");
    assert_int_equal(p->report.skipped_total, sizeof outside / sizeof *outside);
    assert_non_null(strstr(why_skipped(p, "outputs/out0"), "/task/place/outputs2/f"));
}

static void setuid_bits_are_dropped_and_files_are_the_service_s(void **state)
{
    struct place *p = *state;
    write_file(p, "outputs/su", "#!", 0755);
    if (getuid() == 0)
        assert_int_equal(fchownat(p->work, "outputs/su", 12345, 12345, 0), 0);
    assert_int_equal(fchmodat(p->work, "outputs/su", 06755, 0), 0);
    collect(p);
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/outputs/su", p->to);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_uid, geteuid());
}

static void a_hard_link_to_another_users_file_is_not_taken(void **state)
{
    struct place *p = *state;
    if (getuid() != 0)
        skip();
    int fd = openat(p->root, "secret", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "secret", 6), 6);
    assert_int_equal(fchown(fd, 54321, 54321), 0);
    close(fd);
    assert_int_equal(linkat(p->root, "secret", p->work, "outputs/stolen", 0), 0);
    write_file(p, "outputs/one", "1", 0644);
    assert_int_equal(linkat(p->work, "outputs/one", p->work, "outputs/two", 0), 0);
    collect(p);
    assert_non_null(why_skipped(p, "outputs/stolen"));
    assert_collected(p, "outputs/one", "1");
    assert_collected(p, "outputs/two", "1");
    struct stat st;
    assert_int_equal(fstatat(p->root, "secret", &st, 0), 0);
    assert_int_equal(st.st_uid, 54321);
}

static void names_of_one_file_stay_names_of_one_file(void **state)
{
    struct place *p = *state;
    struct stat a, b, c;
    assert_int_equal(mkdirat(p->work, "outputs/below", 0755), 0);
    write_file(p, "outputs/a", "checkpoint", 0644);
    assert_int_equal(linkat(p->work, "outputs/a", p->work, "outputs/b", 0), 0);
    assert_int_equal(linkat(p->work, "outputs/a", p->work, "outputs/below/c", 0), 0);
    for (int run = 0; run < 2; run++) { /* also where it begins once more */
        collect(p);
        assert_collected(p, "outputs/a", "checkpoint");
        assert_collected(p, "outputs/b", "checkpoint");
        assert_collected(p, "outputs/below/c", "checkpoint");
        int at = open(p->to, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(fstatat(at, "outputs/a", &a, 0), 0);
        assert_int_equal(fstatat(at, "outputs/b", &b, 0), 0);
        assert_int_equal(fstatat(at, "outputs/below/c", &c, 0), 0);
        close(at);
        assert_int_equal(a.st_ino, b.st_ino);
        assert_int_equal(a.st_ino, c.st_ino);
        assert_int_equal(a.st_nlink, 3);
    }
    assert_int_equal(fstatat(p->work, "outputs/a", &b, 0), 0);
    assert_int_not_equal(a.st_ino, b.st_ino); /* never the task's own inode */
}

static void files_beside_outputs_stop_at_the_limit_and_are_named(void **state)
{
    struct place *p = *state;
    write_file(p, "a", "12345", 0644);
    write_file(p, "b", "12345", 0644);
    write_file(p, "c", "1", 0644);
    write_file(p, "outputs/big", "1234567890", 0644);
    collect_with(p, (struct outputs_request){.work_max_bytes = 6});
    assert_collected(p, "work/a", "12345");
    assert_non_null(why_skipped(p, "b"));
    assert_collected(p, "work/c", "1");
    assert_collected(p, "outputs/big", "1234567890");
}

static void left_out_places_are_not_looked_into(void **state)
{
    struct place *p = *state;
    char data[] = "data/", model[] = "model.bin", *left_out[] = {data, model, NULL};
    assert_int_equal(mkdirat(p->work, "data", 0755), 0);
    write_file(p, "data/huge", "x", 0644);
    write_file(p, "model.bin", "x", 0644);
    write_file(p, "database", "y", 0644);
    collect_with(p, (struct outputs_request){.left_out = left_out});
    assert_null(collected(p, "work/data/huge"));
    assert_null(collected(p, "work/model.bin"));
    assert_collected(p, "work/database", "y");
    assert_int_equal(p->report.skipped_total, 0);
}

static void folders_without_permission_and_deep_ones_are_taken_or_named(void **state)
{
    struct place *p = *state;
    assert_int_equal(mkdirat(p->work, "outputs/closed", 0755), 0);
    write_file(p, "outputs/closed/f", "in", 0000);
    assert_int_equal(fchmodat(p->work, "outputs/closed", 0000, 0), 0);
    int at = dup(p->work);
    for (int i = 0; i < OUTPUTS_DEPTH_MAX + 5; i++) {
        assert_int_equal(mkdirat(at, "d", 0755), 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = next;
    }
    close(at);
    collect(p);
    if (getuid() == 0)
        assert_collected(p, "outputs/closed/f", "in");
    assert_int_equal(p->report.skipped_total, getuid() == 0 ? 1 : 2);
}

static void a_second_run_goes_on_where_the_first_one_stopped(void **state)
{
    struct place *p = *state;
    write_file(p, "outputs/first", "1", 0644);
    collect(p);
    write_file(p, "outputs/second", "22", 0644);
    collect(p);
    assert_int_equal(p->report.files, 2);
    assert_int_equal(p->report.bytes, 3);
    assert_collected(p, "outputs/first", "1");
}

#define EXCHANGE_ROUNDS 150
#define OTHER_UID 54321

/* Exchanges a file with a link to a program of root's and a directory with a link to its directory, until it
 * is killed. */
static pid_t exchange(int outputs, uid_t uid)
{
    int started[2];
    char c;
    assert_int_equal(pipe2(started, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) {
        close(started[1]);
        assert_int_equal(read(started[0], &c, 1), 1);
        close(started[0]);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (uid && (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0))
        _exit(1);
    for (int passes = 0;; passes++) {
        if (passes == 1 && write(started[1], "", 1) != 1)
            _exit(1);
        renameat2(outputs, "file", outputs, "file-link", RENAME_EXCHANGE);
        renameat2(outputs, "dir", outputs, "dir-link", RENAME_EXCHANGE);
        linkat(outputs, "spare", outputs, "dir/linked", 0);
    }
}

static void names_exchanged_during_collection_reach_nothing_outside(void **state)
{
    struct place *p = *state;
    struct stat before, st;
    uid_t uid = getuid() == 0 ? OTHER_UID : 0;
    assert_int_equal(fchmod(p->root, 0711), 0);
    assert_int_equal(mkdirat(p->root, "outside", 0755), 0);
    _cleanup_close_ int outside = openat(p->root, "outside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = openat(outside, "program", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fs_write_all(fd, "secret", 6));
    assert_int_equal(fchmod(fd, 04755), 0);
    close(fd);
    assert_int_equal(fstatat(outside, "program", &before, 0), 0);
    for (int round = 0; round < EXCHANGE_ROUNDS; round++) {
        assert_int_equal(mkdirat(p->work, "outputs", 0755) != 0 && errno != EEXIST, 0);
        _cleanup_close_ int outputs = openat(p->work, "outputs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        write_file(p, "outputs/file", "mine", 0644);
        write_file(p, "outputs/spare", "mine", 0644);
        assert_int_equal(mkdirat(outputs, "dir", 0755), 0);
        write_file(p, "outputs/dir/program", "mine", 0644);
        assert_int_equal(symlinkat("../../outside/program", outputs, "file-link"), 0);
        assert_int_equal(symlinkat("../../outside", outputs, "dir-link"), 0);
        static const char *const own[] = {"file", "spare", "dir/program", "dir", "."};
        for (size_t i = 0; uid && i < sizeof own / sizeof *own; i++)
            assert_int_equal(fchownat(outputs, own[i], uid, uid, 0), 0);
        pid_t pid = exchange(outputs, uid);
        collect_with(p, (struct outputs_request){.uid = uid});
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(fstatat(outside, "program", &st, 0), 0);
        assert_int_equal(st.st_mode, before.st_mode);
        assert_int_equal(st.st_uid, before.st_uid);
        static const char *const kept[] = {"outputs/file", "outputs/file-link", "outputs/dir/program"};
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
            _cleanup_free_ char *text = collected(p, kept[i]);
            assert_true(!text || strcmp(text, "mine") == 0);
        }
        assert_true(fs_remove_tree(p->work, "outputs", NULL));
        assert_true(fs_remove_tree(AT_FDCWD, p->to, NULL));
    }
}

static void more_skipped_files_than_are_named_are_counted(void **state)
{
    struct place *p = *state;
    for (int i = 0; i < OUTPUTS_SKIPPED_MAX + 7; i++) {
        char name[32];
        snprintf(name, sizeof name, "outputs/l%d", i);
        assert_int_equal(symlinkat("/x", p->work, name), 0);
    }
    collect(p);
    assert_int_equal(p->report.skipped_count, OUTPUTS_SKIPPED_MAX);
    assert_int_equal(p->report.skipped_total, OUTPUTS_SKIPPED_MAX + 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(outputs_are_kept_and_other_files_are_kept_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_devices_sockets_and_pipes_are_named_and_left_behind, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(links_that_stay_inside_and_empty_directories_are_kept, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_link_in_place_of_outputs_leads_to_a_directory_of_the_job_or_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_in_place_of_outputs_keeps_what_it_leads_to_whatever_its_name,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(outputs_that_are_no_directory_any_more_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(absolute_links_into_the_task_s_own_tree_become_relative, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(setuid_bits_are_dropped_and_files_are_the_service_s, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_hard_link_to_another_users_file_is_not_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_of_one_file_stay_names_of_one_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_beside_outputs_stop_at_the_limit_and_are_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(left_out_places_are_not_looked_into, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders_without_permission_and_deep_ones_are_taken_or_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_second_run_goes_on_where_the_first_one_stopped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_exchanged_during_collection_reach_nothing_outside, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(more_skipped_files_than_are_named_are_counted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
