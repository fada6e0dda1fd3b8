/* executor/{bundle,subids,cgroup,reap,isolation}: what can be checked without running a task. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "executor/bundle.h"
#include "executor/isolation.h"
#include "executor/reap.h"
#include "executor/subids.h"
#include "proto/kv.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/berth-unit-XXXXXX");
    return mkdtemp(dir) ? 0 : 1;
}

static int remove_dir(void **state)
{
    (void)state;
    return fs_remove_tree(AT_FDCWD, dir, NULL) ? 0 : 1;
}

static void put(const char *name, const void *bytes, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_true(fs_write_atomic(AT_FDCWD, path, bytes, n, 0600, NULL));
}

static const char *const argv_true[] = {"true", NULL};
static const char *const env_path[] = {"PATH=/bin", "HF_HOME=/mine", "CUDA_VISIBLE_DEVICES=7", NULL};

static struct bundle_request request(void)
{
    static struct isolation iso;
    if (!iso.runtimes)
        iso.runtimes = runtimes_create("not in this test");
    return (struct bundle_request){.task_dir = dir,
                                   .task = "1.1.0",
                                   .user = {.uid = 1000, .gid = 1000, .name = "alice"},
                                   .argv = argv_true,
                                   .env = env_path,
                                   .log_path = "/tmp/log",
                                   .runtime = BUNDLE_RUNTIME_CRUN,
                                   .runtime_path = "/usr/bin/crun",
                                   .isolation = &iso};
}

static const char *spec_value(struct buf *b, const char *key)
{
    char path[128];
    snprintf(path, sizeof path, "%s/spec", dir);
    if (!b->len)
        assert_true(fs_read_file(AT_FDCWD, path, 1 << 20, b, NULL));
    return kv_get(b->data, b->len, key);
}

static bool has_env(struct buf *b, const char *wanted)
{
    size_t cursor = 0;
    for (const char *e; (e = kv_next(b->data, b->len, "env", &cursor));)
        if (strcmp(e, wanted) == 0)
            return true;
    return false;
}

static void the_spec_says_what_was_asked(void **state)
{
    (void)state;
    struct bundle_request r = request();
    struct bundle_gpu gpus[] = {{.uuid = "GPU-a", .minor = 3, .caps = {21, 22}}, {.uuid = "GPU-b"}};
    r.gpus = gpus;
    r.n_gpus = 2;
    r.cache_dir = "/var/cache/x";
    r.memory_bytes = 1ull << 40;
    struct error err = {0};
    assert_true(bundle_write(&r, &err));
    struct buf b = {0};
    assert_string_equal(spec_value(&b, "runtime"), "crun");
    assert_string_equal(spec_value(&b, "memory_bytes"), "1099511627776");
    assert_true(has_env(&b, "CUDA_VISIBLE_DEVICES=GPU-a,GPU-b"));
    assert_false(has_env(&b, "CUDA_VISIBLE_DEVICES=7")); /* the lease wins */
    assert_true(has_env(&b, "HF_HOME=/mine"));
    assert_true(has_env(&b, "TORCH_HOME=/run/berth/cache/torch"));
    buf_finish(&b);
}

static void without_gpus_none_is_visible_unless_the_job_says_so(void **state)
{
    (void)state;
    struct bundle_request r = request();
    struct buf b = {0};
    assert_true(bundle_write(&r, NULL));
    spec_value(&b, "runtime");
    assert_true(has_env(&b, "CUDA_VISIBLE_DEVICES=7"));
    buf_finish(&b);
    static const char *const plain[] = {"A=b", NULL};
    r.env = plain;
    assert_true(bundle_write(&r, NULL));
    spec_value(&b, "runtime");
    assert_true(has_env(&b, "CUDA_VISIBLE_DEVICES="));
    buf_finish(&b);
}

static void what_can_not_be_done_is_refused_by_name(void **state)
{
    (void)state;
    struct error err = {0};
    struct bundle_request r = request();
    r.runtime = BUNDLE_RUNTIME_RUNC;
    r.runtime_path = NULL;
    assert_false(bundle_write(&r, &err));
    assert_string_equal(err.field, "runtime");
    r = request();
    static const char *const nothing[] = {NULL};
    r.argv = nothing;
    assert_false(bundle_write(&r, &err));
    assert_string_equal(err.field, "command");
    r = request();
    struct bundle_bind bind = {.source = "relative", .target = "/x"};
    r.binds = &bind;
    r.n_binds = 1;
    assert_false(bundle_write(&r, &err));
    assert_string_equal(err.field, "mounts");
    r = request();
    r.n_binds = BUNDLE_BINDS_MAX + 1;
    assert_false(bundle_write(&r, &err));
    assert_string_equal(err.field, "mounts");
    r = request();
    r.n_gpus = BUNDLE_GPUS_MAX + 1;
    assert_false(bundle_write(&r, &err));
    assert_string_equal(err.field, "gpus");
    r = request();
    r.image = BUNDLE_IMAGE_FOLDER;
    r.image_path = "here";
    assert_false(bundle_write(&r, &err));
    assert_string_equal(err.field, "environment.image");
}

static void sub_ids_are_read_by_name_or_number(void **state)
{
    (void)state;
    static const char text[] = "# "
                               "comment\nbob:100000:65536\n1001:200000:1000\nevil:0:65536\nwide:4294967000:"
                               "65536\nalice:300000:70000\n";
    put("subuid", text, sizeof text - 1);
    char path[128];
    snprintf(path, sizeof path, "%s/subuid", dir);
    uint32_t first = 0, count = 0;
    assert_true(subids_in_file(path, "bob", 5, &first, &count));
    assert_int_equal(first, 100000);
    assert_int_equal(count, 65536);
    assert_true(subids_in_file(path, "carol", 1001, &first, &count));
    assert_int_equal(first, 200000);
    assert_int_equal(count, 1000);
    assert_true(subids_in_file(path, "alice", 9, &first, &count));
    assert_int_equal(count, SUBIDS_COUNT);
    assert_false(subids_in_file(path, "evil", 9, &first, &count)); /* root's id is never a sub-id */
    assert_false(subids_in_file(path, "wide", 9, &first, &count)); /* past the last id */
    assert_false(subids_in_file(path, "nobody", 9, &first, &count));
}

static void default_sub_ids_never_reach_a_login(void **state)
{
    (void)state;
    for (uid_t uid = 0; uid < 20000; uid += 7) {
        struct subids ids;
        subids_find("no-such-user-of-berth", uid, true, &ids);
        assert_true(ids.uid >= SUBIDS_DEFAULT_BASE && ids.uid_count == SUBIDS_COUNT);
        assert_true((uint64_t)ids.uid + ids.uid_count <= 0x80000000u);
        subids_find("no-such-user-of-berth", uid + 100000, false, &ids);
        assert_int_equal(ids.uid_count, 0);
    }
}

static void cgroup_hierarchies_travel_as_text(void **state)
{
    (void)state;
    struct cgroup_hierarchy h = {.v2 = true,
                                 .controllers = CGROUP_MEMORY | CGROUP_PIDS,
                                 .base = "/sys/fs/cgroup/a:b/berth"},
                            back;
    char text[CGROUP_PATH_MAX + 32];
    cgroup_hierarchy_format(&h, text, sizeof text);
    assert_true(cgroup_hierarchy_parse(text, &back));
    assert_true(back.v2);
    assert_int_equal(back.controllers, h.controllers);
    assert_string_equal(back.base, h.base);
    assert_false(cgroup_hierarchy_parse("v2:6:relative", &back));
    assert_false(cgroup_hierarchy_parse("", &back));
}

static void a_folder_tells_what_became_of_its_shim(void **state)
{
    (void)state;
    char path[128];
    assert_int_equal(reap_status(dir), REAP_NEVER_RAN);
    put("shim", "", 0); /* the lock was taken, the shim never wrote */
    assert_int_equal(reap_status(dir), REAP_NEVER_RAN);
    struct buf b = {0};
    kv_add_int(&b, "pid", 1);
    kv_add(&b, "boot_id", "00000000-0000-0000-0000-000000000000");
    put("shim", b.data, b.len);
    buf_finish(&b);
    assert_int_equal(reap_status(dir), REAP_LOST);
    snprintf(path, sizeof path, "%s/shim", dir);
    int fd = open(path, O_RDONLY);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(reap_status(dir), REAP_ALIVE);
    close(fd);
    bool empty = false;
    assert_true(
        reap_kill(dir, 0, &empty, NULL)); /* of another boot: nothing can be left, and pid 1 is not touched */
    assert_true(empty);
    assert_true(reap_write_lost(dir, NULL));
    assert_int_equal(reap_status(dir), REAP_EXITED);
    static struct reap_exit record;
    assert_true(reap_read_exit(dir, &record, NULL));
    assert_string_equal(record.kind, "shim_lost");
    assert_non_null(strstr(record.text, "restarted"));
    assert_int_equal(record.started_ms, 0);
}

static void a_pid_that_was_given_to_another_is_left_alone(void **state)
{
    (void)state;
    struct buf b = {0};
    kv_add(&b, "boot_id", clock_boot_id());
    put("shim", b.data, b.len);
    buf_clear(&b);
    kv_add(&b, "state", "running");
    kv_add_int(&b, "payload_pid", getpid()); /* our own pid, another start time */
    kv_add(&b, "payload_start", "1");
    put("state", b.data, b.len);
    buf_finish(&b);
    bool empty = false;
    assert_true(reap_kill(dir, 0, &empty, NULL));
    assert_true(empty);
}

static void say_init(pid_t pid, uint64_t start)
{
    struct buf b = {0};
    kv_add(&b, "boot_id", clock_boot_id());
    put("shim", b.data, b.len);
    buf_clear(&b);
    kv_add(&b, "state", "running");
    kv_add_int(&b, "payload_pid", pid);
    kv_add_int(&b, "payload_start", (int64_t)start);
    put("state", b.data, b.len);
    buf_finish(&b);
}

static void a_dead_init_that_nobody_waits_for_holds_up_nothing(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    say_init(child, clock_process_start(child));
    assert_int_equal(kill(child, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    bool empty = false;
    assert_true(reap_kill(dir, 0, &empty, NULL));
    assert_true(empty);
    assert_int_equal(waitpid(child, NULL, 0), child);
    say_init(child, 0); /* its start was never known */
    assert_true(reap_kill(dir, 0, &empty, NULL));
    assert_true(empty);
}

static void a_newer_exit_record_is_refused(void **state)
{
    (void)state;
    put("exit", "berth_exit=2\0code=0", 20);
    struct error err = {0};
    static struct reap_exit record;
    assert_false(reap_read_exit(dir, &record, &err));
    assert_int_equal(err.code, ERROR_VERSION);
}

static void tags_stand_for_folders(void **state)
{
    (void)state;
    char a[16], b[16], c[16];
    assert_true(isolation_tag(dir, a, NULL));
    assert_true(isolation_tag(dir, b, NULL));
    assert_true(isolation_tag("/", c, NULL));
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    assert_false(isolation_tag("/no/such/folder", c, NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_spec_says_what_was_asked),
        TEST(without_gpus_none_is_visible_unless_the_job_says_so),
        TEST(what_can_not_be_done_is_refused_by_name),
        TEST(sub_ids_are_read_by_name_or_number),
        TEST(default_sub_ids_never_reach_a_login),
        TEST(cgroup_hierarchies_travel_as_text),
        TEST(a_folder_tells_what_became_of_its_shim),
        TEST(a_pid_that_was_given_to_another_is_left_alone),
        TEST(a_dead_init_that_nobody_waits_for_holds_up_nothing),
        TEST(a_newer_exit_record_is_refused),
        TEST(tags_stand_for_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
