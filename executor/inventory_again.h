/* A GPU driver that did not answer is asked again now and then, until it does. */
#ifndef BERTH_EXECUTOR_INVENTORY_AGAIN_H
#define BERTH_EXECUTOR_INVENTORY_AGAIN_H

#include "executor/config.h"

#include <uv.h>

#define INVENTORY_AGAIN_MS 60000 /* while the GPU driver does not answer */

/* From the loop. `changed` is called when config->inventory is another. It lives as long as the process. */
void inventory_again_start(uv_loop_t *loop, struct executor_config *config, void (*changed)(void *data),
                           void *data);
/* Learns how the GPUs idle and adds it to the inventory. May take the GPU probe's deadline. */
void inventory_look_at_gpus(struct executor_config *config, cJSON *inventory);

#endif
