/* The one seam for time. Milliseconds everywhere; wall time only for what people read and for the journal. */
#ifndef BERTH_BASE_CLOCK_H
#define BERTH_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

int64_t clock_wall_ms(void); /* CLOCK_REALTIME since the epoch */
int64_t clock_boot_ms(void); /* CLOCK_BOOTTIME: goes on while the machine sleeps */
/* This boot's id (/proc/sys/kernel/random/boot_id, 36 characters); "unknown" where it can't be read. Static
 * storage. */
const char *clock_boot_id(void);
/* Start time of a process in clock ticks since boot (proc(5), stat field 22): with the pid and the boot id it
 * names a process for ever. 0 where there is no such process, or only what its parent has not waited for. */
uint64_t clock_process_start(pid_t pid);
/* "2026-11-23T18:00:00Z" into out (at least 32 bytes); returns out. */
char *clock_format_utc(int64_t wall_ms, char *out);

#endif
