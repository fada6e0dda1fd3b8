/* executor/look: asked as the user, and never for longer than its limit. */
#include "base/error.h"
#include "executor/look.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static struct user me(void)
{
    return (struct user){.uid = getuid(), .gid = getgid()};
}

static void looks_see_what_is_there(void **state)
{
    (void)state;
    const struct user user = me();
    assert_true(look_is_directory("/dev", &user));
    assert_false(look_is_directory("/dev/null", &user));
    assert_false(look_is_directory("/no/such/directory", &user));
}

static atomic_bool over;

/* What a user can do to a process that has his id. */
static void *stop_children(void *stopped)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    while (!over) {
        FILE *f = fopen(path, "re");
        long child;
        while (f && fscanf(f, "%ld", &child) == 1)
            if (kill((pid_t)child, SIGSTOP) == 0)
                atomic_fetch_add((atomic_int *)stopped, 1);
        if (f)
            fclose(f);
    }
    return NULL;
}

static void a_stopped_look_is_given_up(void **state)
{
    (void)state;
    const struct user user = me();
    atomic_int stopped = 0;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_children, &stopped), 0);
    for (int i = 0; i < 1000 && !stopped; i++) /* each returns, whether it was stopped in time or not */
        look_is_directory("/dev", &user);
    over = true;
    pthread_join(thread, NULL);
    assert_true(stopped > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(looks_see_what_is_there),
                                       cmocka_unit_test(a_stopped_look_is_given_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
