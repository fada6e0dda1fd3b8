/* The seccomp rules of one architecture. The .inc files are generated from seccomp.list (CMakeLists.txt). */
#ifndef BERTH_SHIM_SECCOMP_TABLE_H
#define BERTH_SHIM_SECCOMP_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum seccomp_action { SECCOMP_ENOSYS, SECCOMP_EPERM, SECCOMP_TAKE };

struct seccomp_rule {
    uint32_t number;
    enum seccomp_action action;
};

extern const struct seccomp_rule seccomp_i386_rules[];
extern const size_t seccomp_i386_count;
extern const uint32_t seccomp_i386_personality;

#endif
