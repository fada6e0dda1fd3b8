/*
 * What the payload can't do whoever runs it: the seccomp filter, compiled from seccomp.list for this
 * machine's own system calls (and i386's on x86-64), and Landlock's scope. Done here rather than by the OCI
 * runtime, so that every runtime has the same one, `process` too, and none spends milliseconds on compiling
 * it for each task.
 */
#include "executor/shim/shim.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "executor/shim/seccomp_table.h"

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "add this machine's AUDIT_ARCH"
#endif

static const struct seccomp_rule native_rules[] = {
#include "seccomp_rules.inc"
};

#define FILTER_MAX 4096

struct filter {
    struct sock_filter code[FILTER_MAX];
    unsigned short n;
};

static void emit(struct filter *f, unsigned short code, uint32_t k, uint8_t jt, uint8_t jf)
{
    if (f->n < FILTER_MAX)
        f->code[f->n++] = (struct sock_filter){.code = code, .jt = jt, .jf = jf, .k = k};
}

static void emit_return(struct filter *f, uint32_t action)
{
    emit(f, BPF_RET | BPF_K, action, 0, 0);
}

static uint32_t action_code(enum seccomp_action a)
{
    return a == SECCOMP_TAKE ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | (a == SECCOMP_EPERM ? EPERM : ENOSYS);
}

static int by_number(const void *a, const void *b)
{
    const struct seccomp_rule *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* The accumulator holds the call's number. Ranges of one action in rising order: "at most `last`? then
 * return". The kernel remembers for each number that it is always allowed (5.11), so that the length costs
 * nothing. */
static void emit_ranges(struct filter *f, const struct seccomp_rule *rules, size_t n)
{
    static struct seccomp_rule sorted[1024];
    n = n < 1024 ? n : 1024;
    for (size_t i = 0; i < n; i++)
        sorted[i] = rules[i];
    qsort(sorted, n, sizeof *sorted, by_number);
    uint32_t next = 0;
    for (size_t i = 0; i < n;) {
        uint32_t first = sorted[i].number, last = first;
        enum seccomp_action action = sorted[i].action;
        if (first > next) {
            emit(f, BPF_JMP | BPF_JGT | BPF_K, first - 1, 1, 0);
            emit_return(f, action_code(SECCOMP_ENOSYS));
        }
        for (i++; i < n && sorted[i].action == action && sorted[i].number <= last + 1; i++)
            last = sorted[i].number;
        emit(f, BPF_JMP | BPF_JGT | BPF_K, last, 1, 0);
        emit_return(f, action_code(action));
        next = last + 1;
    }
    emit_return(f, action_code(SECCOMP_ENOSYS));
}

/* personality(2): Linux, with or without UNAME26 and PER_LINUX32, and asking. */
static void emit_personality(struct filter *f, uint32_t number)
{
    static const uint32_t allowed[] = {0, 8, 0x20000, 0x20008, 0xffffffff};
    const uint8_t count = sizeof allowed / sizeof *allowed;
    emit(f, BPF_JMP | BPF_JEQ | BPF_K, number, 0, (uint8_t)(count * 2 + 2));
    emit(f, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]), 0, 0);
    for (uint8_t i = 0; i < count; i++) {
        emit(f, BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        emit_return(f, SECCOMP_RET_ALLOW);
    }
    emit_return(f, action_code(SECCOMP_ENOSYS));
}

static void emit_arch(struct filter *f, uint32_t arch, const struct seccomp_rule *rules, size_t n,
                      uint32_t personality)
{
    /* A conditional jump reaches 255 instructions; the block is longer, so it is jumped over by JA. */
    emit(f, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
    emit(f, BPF_JMP | BPF_JEQ | BPF_K, arch, 1, 0);
    unsigned short over = f->n;
    emit(f, BPF_JMP | BPF_JA, 0, 0, 0);
    emit(f, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    emit_personality(f, personality);
    emit_ranges(f, rules, n);
    f->code[over].k = (uint32_t)(f->n - over - 1);
}

bool confine_seccomp(void)
{
    static struct filter f;
    emit_arch(&f, NATIVE_ARCH, native_rules, sizeof native_rules / sizeof *native_rules, SYS_personality);
#if defined(__x86_64__)
    emit_arch(&f, AUDIT_ARCH_I386, seccomp_i386_rules, seccomp_i386_count, seccomp_i386_personality);
#endif
    emit_return(&f, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = {.len = f.n, .filter = f.code};
    if (f.n == FILTER_MAX) {
        errno = E2BIG;
        return false;
    }
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

/* linux/landlock.h of Debian 12 (ABI 2) does not know scopes: kernel 6.12 (ABI 6) does. */
#define LANDLOCK_ABI_SCOPES 6
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif

bool confine_landlock(void)
{
    struct {
        uint64_t handled_access_fs, handled_access_net, scoped;
    } rules = {.scoped = SCOPE_ABSTRACT_UNIX_SOCKET};
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1u /* LANDLOCK_CREATE_RULESET_VERSION */) <
        LANDLOCK_ABI_SCOPES)
        return false;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0u);
    if (fd < 0)
        return false;
    bool ok = syscall(SYS_landlock_restrict_self, fd, 0u) == 0;
    close(fd);
    return ok;
}
