/* The shim's life, for main.c. */
#ifndef BERTH_SHIM_LIFE_H
#define BERTH_SHIM_LIFE_H

struct shim;

/* From a read spec to the written exit record; the process's exit status. */
int life_run(struct shim *s);
void life_bare_folders(struct shim *s);

#endif
