/* The shim's life, for main.c. */
#ifndef BERTH_SHIM_LIFE_H
#define BERTH_SHIM_LIFE_H

#include <stdbool.h>

struct shim;

/* From a read spec to the written exit record; the process's exit status. */
int life_run(struct shim *s);
void life_bare_folders(struct shim *s);
/* While the root is prepared: takes orders; false once the task is to end. `shim` is a struct shim. */
bool life_go_on(void *shim);

#endif
