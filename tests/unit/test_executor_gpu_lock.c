/* executor/gpu_lock: one GPU, one holder on the whole machine, and a refused one learns who holds it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "executor/gpu_lock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define HAMMERS 4
#define ROUNDS 2000
#define NOBODY 65534

static char uuid[64]; /* of this run alone: locks are machine-wide */

static void a_held_gpu_is_refused_naming_the_holder(void **state)
{
    (void)state;
    struct error err = {0};
    assert_false(gpu_lock_look(uuid).held);
    int fd = gpu_lock_take(uuid, &err);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(gpu_lock_take(uuid, &err), -1);
    assert_int_equal(err.code, ERROR_CONFLICT);
    char want[192];
    struct gpu_lock_holder holder = gpu_lock_look(uuid);
    assert_true(holder.held && holder.uid_known && holder.pid_known);
    assert_int_equal(holder.uid, geteuid());
    assert_int_equal(holder.pid, getpid());
    snprintf(want, sizeof want, "GPU %s is held by user %s (pid %d)", uuid, holder.user, (int)getpid());
    assert_string_equal(err.message, want);
    close(fd);
    assert_false(gpu_lock_look(uuid).held);
    fd = gpu_lock_take(uuid, &err);
    assert_true(fd >= 0);
    close(fd);
}

static void many_looks_leave_the_holder_unharmed(void **state)
{
    (void)state;
    struct error err = {0};
    _cleanup_close_ int fd = gpu_lock_take(uuid, &err);
    assert_true(fd >= 0);
    for (int i = 0; i < 500; i++) {
        struct gpu_lock_holder holder = gpu_lock_look(uuid);
        assert_true(holder.held && holder.pid_known);
    }
    /* One connection at most waits in its backlog. */
    int waiting = 0, got;
    while ((got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        waiting++;
        close(got);
    }
    assert_true(waiting <= 1);
}

static void the_lock_lives_as_long_as_the_last_process_that_has_it(void **state)
{
    (void)state;
    struct error err = {0};
    int go[2];
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    int fd = gpu_lock_take(uuid, &err);
    assert_true(fd >= 0);
    pid_t keeper = fork();
    if (keeper == 0) {
        char byte;
        close(go[1]);
        _exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(go[0]);
    close(fd);
    assert_int_equal(gpu_lock_take(uuid, &err), -1);
    close(go[1]);
    assert_int_equal(waitpid(keeper, NULL, 0), keeper);
    fd = gpu_lock_take(uuid, &err);
    assert_true(fd >= 0);
    close(fd);
}

static void nonsense_is_no_uuid(void **state)
{
    (void)state;
    struct error err = {0};
    char longer[GPU_LOCK_UUID_MAX + 2];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    static const char *const bad[] = {"", "GPU\n1", "GPU 1", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gpu_lock_take(bad[i], &err), -1);
        assert_int_equal(err.code, ERROR_INVALID);
    }
    assert_int_equal(gpu_lock_take(longer, &err), -1);
    assert_int_equal(err.code, ERROR_INVALID);
}

/* Several processes of two users (where we may become another) take and give back one GPU as fast as they
 * can; whoever has it says so in shared memory and must find nobody else there. */
struct ring {
    atomic_int inside, overlaps, taken[HAMMERS], odd_errors;
};

static void hammer(struct ring *ring, int number)
{
    if (geteuid() == 0 && number % 2 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
        _exit(2);
    for (int i = 0; i < ROUNDS; i++) {
        struct error err = {0};
        int fd = gpu_lock_take(uuid, &err);
        if (fd < 0) {
            if (err.code != ERROR_CONFLICT)
                atomic_fetch_add(&ring->odd_errors, 1);
            continue;
        }
        if (atomic_fetch_add(&ring->inside, 1) != 0)
            atomic_fetch_add(&ring->overlaps, 1);
        atomic_fetch_add(&ring->taken[number], 1);
        atomic_fetch_sub(&ring->inside, 1);
        close(fd);
    }
    _exit(0);
}

static void two_users_never_hold_one_gpu_at_once(void **state)
{
    (void)state;
    struct ring *ring = mmap(NULL, sizeof *ring, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(ring != MAP_FAILED);
    pid_t pids[HAMMERS];
    for (int i = 0; i < HAMMERS; i++)
        if ((pids[i] = fork()) == 0)
            hammer(ring, i);
    int sum = 0;
    for (int i = 0; i < HAMMERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
        sum += ring->taken[i];
    }
    assert_int_equal(ring->overlaps, 0);
    assert_int_equal(ring->odd_errors, 0);
    assert_true(sum > 0);
    munmap(ring, sizeof *ring);
}

int main(void)
{
    snprintf(uuid, sizeof uuid, "GPU-test-%d", (int)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_held_gpu_is_refused_naming_the_holder),
        cmocka_unit_test(many_looks_leave_the_holder_unharmed),
        cmocka_unit_test(the_lock_lives_as_long_as_the_last_process_that_has_it),
        cmocka_unit_test(nonsense_is_no_uuid),
        cmocka_unit_test(two_users_never_hold_one_gpu_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
