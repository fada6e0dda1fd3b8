#include "executor/inventory_again.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "executor/inventory.h"
#include "executor/work.h"

struct again {
    uv_loop_t *loop;
    struct executor_config *config;
    void (*changed)(void *data);
    void *data;
    uv_timer_t timer;
    cJSON *fresh;
};

void inventory_look_at_gpus(struct executor_config *config, cJSON *inventory)
{
    if (!config->gpu_watch || cJSON_GetArraySize(json_get(inventory, "gpus")) == 0)
        return;
    gpu_watch_learn(config->gpu_watch);
    gpu_watch_annotate(config->gpu_watch, inventory);
}

static void read_again(void *data)
{
    struct again *again = data;
    struct error err = {0};
    struct inventory_options options = {.gpu = {.cuda_library = again->config->gpu_library}};
    if (!inventory_read(&options, &again->fresh, &err))
        again->fresh = NULL;
    else
        inventory_look_at_gpus(again->config, again->fresh);
}

static bool gpus_missing(const cJSON *inventory)
{
    return json_str(inventory, "gpu_error", NULL) != NULL;
}

static void read_done(void *data)
{
    struct again *again = data;
    struct executor_config *config = again->config;
    _cleanup_json_ cJSON *fresh = take_ptr(again->fresh);
    if (!fresh)
        return;
    if (cJSON_Compare(json_get(fresh, "gpus"), json_get(config->inventory, "gpus"), true) &&
        gpus_missing(fresh) == gpus_missing(config->inventory))
        return;
    log_info("the GPUs of this node have changed");
    config->inventory = take_ptr(fresh); /* the old one stays in memory: the probe may be reading it */
    again->changed(again->data);
    if (!gpus_missing(config->inventory))
        uv_timer_stop(&again->timer);
}

static void on_timer(uv_timer_t *timer)
{
    struct again *again = timer->data;
    work_start(again->loop, read_again, read_done, again);
}

void inventory_again_start(uv_loop_t *loop, struct executor_config *config, void (*changed)(void *data),
                           void *data)
{
    struct again *again = xcalloc(1, sizeof *again);
    *again = (struct again){.loop = loop, .config = config, .changed = changed, .data = data};
    uv_timer_init(loop, &again->timer);
    again->timer.data = again;
    if (gpus_missing(config->inventory) && !config->inventory_file)
        uv_timer_start(&again->timer, on_timer, INVENTORY_AGAIN_MS, INVENTORY_AGAIN_MS);
}
