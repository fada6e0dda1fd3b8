/* The rules for 32-bit programs on x86-64: the same list by i386's numbers. A file of its own, since the two
 * headers of numbers can't be read together. */
#if defined(__x86_64__)
#include <asm/unistd_32.h>

#include "executor/shim/seccomp_table.h"

const struct seccomp_rule seccomp_i386_rules[] = {
#include "seccomp_rules.inc"
};
const size_t seccomp_i386_count = sizeof seccomp_i386_rules / sizeof *seccomp_i386_rules;
const uint32_t seccomp_i386_personality = __NR_personality;
#endif
